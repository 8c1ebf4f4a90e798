import { connect, createServer } from "node:net"
import { fileURLToPath } from "node:url"
import { program } from "./built.mjs"
import { startProgram } from "./children.mjs"
import { waitUntil } from "./clock.mjs"

const guardsLifted = fileURLToPath(new URL("../../test/kit/lifted-guards.yaml", import.meta.url))
const limitsLifted = ["--rate", "100000000/s", "--burst", "1000000", "--guards", guardsLifted]

/**
 * Starts a relay without rate limits.
 * @param {import("./children.mjs").Defer} defer - registers its end
 * @param {{ args?: readonly string[], nodeArgs?: readonly string[] }} [options]
 */
export async function startRelay(defer, { args = [], nodeArgs = [] } = {}) {
  const port = await findFreePort()
  const serve = [program, "serve", "--port", String(port), ...limitsLifted, ...args]
  const relay = startProgram("node", [...nodeArgs, ...serve])
  defer(relay.end)
  await waitForPort(port, relay)
  return { port, pid: relay.pid, url: `ws://127.0.0.1:${port}` }
}

/** @returns {Promise<number>} */
export function findFreePort() {
  const server = createServer()
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = /** @type {import("node:net").AddressInfo} */ (server.address())
      server.close(() => resolve(port))
    })
  })
}

/** Waits until a program listens on the port. @param {number} port @param {ReturnType<typeof startProgram>} starting */
export function waitForPort(port, starting) {
  return waitUntil("a server to listen", () => {
    if (starting.hasEnded()) throw new Error(`a server did not start:\n${starting.printed()}`)
    return isListening(port)
  })
}

/** @param {number} port @returns {Promise<boolean>} */
function isListening(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy()
      resolve(true)
    })
    socket.on("error", () => resolve(false))
  })
}
