import { createRequire } from "node:module"

// `import` of a CommonJS package starts Node's export lexer: 7 MiB and 20 ms that `require` does not cost.
const ws = createRequire(import.meta.url)("ws") as typeof import("ws")

export const { WebSocket, WebSocketServer } = ws

/** One WebSocket, of either side. */
export type WebSocket = import("ws").WebSocket

/** Accepts HTTP connections that ask for an upgrade to WebSocket. */
export type WebSocketServer = import("ws").WebSocketServer
