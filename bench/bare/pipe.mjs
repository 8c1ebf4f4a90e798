// Baseline: one process watches a file and sends its lines, another receives and appends them.
import { openSync, readSync, watch, writeSync } from "node:fs"
import { connect, createServer } from "node:net"
import { answer } from "../kit/children.mjs"

/** @typedef {typeof api} PipeApi */

const chunk = Buffer.allocUnsafe(64 * 1024)

const api = {
  /** @param {{ path: string }} request @returns {Promise<number>} the port */
  receive({ path }) {
    const fd = openSync(path, "a")
    const server = createServer((socket) => {
      socket.on("data", (bytes) => writeSync(fd, bytes))
    })
    return new Promise((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        resolve(/** @type {import("node:net").AddressInfo} */ (server.address()).port)
      })
    })
  },
  /** @param {{ path: string, port: number }} request */
  send({ path, port }) {
    const fd = openSync(path, "r")
    const socket = connect(port, "127.0.0.1").setNoDelay()
    watch(path, () => {
      for (;;) {
        const length = readSync(fd, chunk)
        if (length === 0) return
        socket.write(Buffer.from(chunk.subarray(0, length)))
      }
    })
    return new Promise((resolve) => socket.on("connect", () => resolve(undefined)))
  },
}
answer(api)
