// Baseline: a WebSocket echo server, the cheapest request and response.
import { WebSocketServer } from "ws"
import { answer } from "../kit/children.mjs"

/** @typedef {typeof api} EchoApi */

const api = {
  /** @returns {Promise<number>} the port */
  open() {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false })
    server.on("connection", (ws) => {
      ws.on("error", () => ws.terminate())
      ws.on("message", (data) => ws.send(data, { binary: false }))
    })
    return new Promise((resolve) => {
      server.on("listening", () =>
        resolve(/** @type {import("node:net").AddressInfo} */ (server.address()).port),
      )
    })
  },
}
answer(api)
