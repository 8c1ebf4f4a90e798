// The process that holds idle connections.
import { Agent } from "../kit/agent.mjs"
import { answer } from "../kit/children.mjs"
import { openWebSocket } from "../kit/web-socket.mjs"

/** @typedef {typeof api} IdlersApi */

let opened = 0

const api = {
  /** Opens more bare connections, or sessions. @param {{ port: number, count: number, sessions: boolean }} request */
  async open({ port, count, sessions }) {
    for (let i = 0; i < count; i++) {
      if (sessions) await Agent.open(port, `idler-${opened++}`)
      else await openWebSocket(port, "/sub")
    }
  },
}
answer(api)
