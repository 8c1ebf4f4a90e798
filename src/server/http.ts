import { createServer, type IncomingMessage, type Server, ServerResponse } from "node:http"
import { createServer as createTlsServer } from "node:https"
import type { AddressInfo, ListenOptions, Socket } from "node:net"
import type { Duplex } from "node:stream"
import type { Server as TlsServer } from "node:tls"
import { ChatError } from "../protocol/errors.js"
import { protocolSchema } from "../protocol/json-schema.js"

/** PEM texts of a certificate chain and its key. */
export interface TlsFiles {
  readonly cert: string
  readonly key: string
}

/** The body of `GET /health`. */
export interface HealthReport {
  readonly ok: boolean
  readonly [field: string]: unknown
}

/** An answer to an HTTP request. */
export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/**
 * The HTTP side of a relay.
 * @param handle - answers a request
 * @param headersTimeoutMs - milliseconds a request may take to arrive
 * @throws {ChatError} USAGE if the certificate or key cannot be used
 */
export function createHttpFront(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
  tls: TlsFiles | undefined,
  headersTimeoutMs: number,
): Server {
  const options = {
    headersTimeout: headersTimeoutMs,
    requestTimeout: headersTimeoutMs,
  }
  if (tls === undefined) return withIdleTimeout(createServer(options, handle), headersTimeoutMs)
  return withCertificate(() => {
    const server = createTlsServer({ ...options, ...tls, handshakeTimeout: headersTimeoutMs }, handle)
    return withIdleTimeout(server, headersTimeoutMs)
  })
}

/** Gives new connections another certificate. @throws {ChatError} USAGE if it cannot be used; nothing has changed then */
export function replaceCertificate(server: Server, { cert, key }: TlsFiles): void {
  withCertificate(() => (server as Server & TlsServer).setSecureContext({ cert, key }))
}

function withCertificate<T>(use: () => T): T {
  try {
    return use()
  } catch (error) {
    throw new ChatError("USAGE", "tls: the certificate or its key cannot be used", { cause: error })
  }
}

/** Cuts connections that send nothing at all. */
function withIdleTimeout(server: Server, idleMs: number): Server {
  server.timeout = idleMs
  return server
}

/**
 * Starts listening, at an address or on a socket that another program opened.
 * @returns address and port: a free one if the port is 0
 * @throws {ChatError} ALREADY_RUNNING if the port is taken; USAGE if listening on it fails
 */
export function listen(server: Server, at: ListenOptions & { readonly fd?: number }): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => reject(listenError(error, at))
    server.once("error", onError)
    server.listen(at, () => {
      server.removeListener("error", onError)
      const address = server.address()
      if (typeof address === "object" && address !== null) resolve(address)
      else reject(new ChatError("USAGE", `cannot listen on ${String(address)}: is no TCP socket`))
    })
  })
}

/** Facts of a relay that a request may ask for. */
interface RelayState {
  readonly health: () => HealthReport
  readonly isReady: () => boolean
  /** True if it is no chat itself, but its spaces are. */
  readonly hasSpaces: boolean
}

/**
 * Returns the answer to a request: `GET /health` and `GET /schema` in JSON, `GET /ready` in a word, 426 for a browser that
 * opens `/`, 404 for the rest.
 */
export function answerRequest(
  { url, method }: { readonly url?: string | undefined; readonly method?: string | undefined },
  { health, isReady, hasSpaces }: RelayState,
): HttpAnswer {
  const isRead = method === "GET" || method === "HEAD"
  switch (isRead ? url?.split("?", 1)[0] : undefined) {
    case "/health":
      return healthAnswer(health())
    case "/ready":
      return isReady() ? textAnswer(200, "ready") : textAnswer(503, "not ready")
    case "/schema":
      return { status: 200, headers: schemaHeaders, body: schemaText() }
    case "/": {
      const where = hasSpaces ? " to one of its spaces: /space/NAME" : ""
      const answer = textAnswer(426, `this is an agentchat relay; connect with a WebSocket${where}`)
      return { ...answer, headers: { ...answer.headers, Upgrade: "websocket" } }
    }
    default:
      return textAnswer(404, "not found")
  }
}

function healthAnswer(report: HealthReport): HttpAnswer {
  const headers = { ...commonHeaders, "Content-Type": "application/json" }
  return { status: report.ok ? 200 : 503, headers, body: `${JSON.stringify(report)}\n` }
}

const commonHeaders = { "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff" } as const

const schemaHeaders = { ...commonHeaders, "Content-Type": "application/schema+json" }
let cachedSchema: string | undefined

/** Returns the messages of the protocol as JSON Schema, which never change while the relay runs. */
function schemaText(): string {
  cachedSchema ??= `${JSON.stringify(protocolSchema())}\n`
  return cachedSchema
}

/** Returns an answer of one line. */
export function textAnswer(status: number, line: string): HttpAnswer {
  return { status, headers: { ...commonHeaders, "Content-Type": "text/plain" }, body: `${line}\n` }
}

/** Sends an answer. */
export function sendAnswer(response: ServerResponse, { status, headers, body }: HttpAnswer): void {
  response.writeHead(status, headers)
  response.end(body)
}

/** Makes the response to a request that asked for an upgrade, for which Node makes none. It closes the connection. */
export function responseOn(socket: Duplex, request: IncomingMessage): ServerResponse {
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  // A socket of an upgrade is one of the server.
  response.assignSocket(socket as Socket)
  response.on("finish", () => socket.end())
  socket.on("error", () => socket.destroy())
  return response
}

function listenError(
  error: NodeJS.ErrnoException,
  { port, host, fd }: Parameters<typeof listen>[1],
): ChatError {
  const place = fd === undefined ? `port ${port} of ${host}` : `file descriptor ${fd}`
  if (error.code === "EADDRINUSE") {
    return new ChatError("ALREADY_RUNNING", `${place} is held by another program`, {
      hint: "stop it, or choose another port with --port",
      cause: error,
    })
  }
  return new ChatError("USAGE", `cannot listen on ${place} (${error.code ?? error.message})`, {
    cause: error,
  })
}
