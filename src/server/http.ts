import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { createServer as createTlsServer } from "node:https"
import { ChatError } from "../protocol/errors.js"

/** PEM texts of a certificate chain and its key. */
export interface TlsFiles {
  readonly cert: string
  readonly key: string
}

/**
 * The HTTP side of a relay: `GET /health` in JSON, 426 for a browser that opens `/`, 404 for the rest.
 * @param headersTimeoutMs - milliseconds a request may take to arrive
 * @throws {ChatError} USAGE if the certificate or key cannot be used
 */
export function createHttpFront(
  health: () => object,
  tls: TlsFiles | undefined,
  headersTimeoutMs: number,
): Server {
  const answer = (request: IncomingMessage, response: ServerResponse) =>
    answerRequest(request, response, health)
  const options = {
    headersTimeout: headersTimeoutMs,
    requestTimeout: headersTimeoutMs,
  }
  if (tls === undefined) return withIdleTimeout(createServer(options, answer), headersTimeoutMs)
  try {
    const server = createTlsServer({ ...options, ...tls, handshakeTimeout: headersTimeoutMs }, answer)
    return withIdleTimeout(server, headersTimeoutMs)
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
 * Starts listening.
 * @returns the port: a free one if `port` is 0
 * @throws {ChatError} ALREADY_RUNNING if the port is taken; USAGE if listening on it fails
 */
export function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => reject(listenError(error, port, host))
    server.once("error", onError)
    server.listen(port, host, () => {
      server.removeListener("error", onError)
      const address = server.address()
      resolve(typeof address === "object" && address !== null ? address.port : port)
    })
  })
}

/** Returns whether a request comes from a web page of another site, which must not use its visitor's relay. */
export function isForeignPage({ headers }: IncomingMessage): boolean {
  const { origin, host } = headers
  if (origin === undefined) return false
  return !URL.canParse(origin) || new URL(origin).host !== host
}

function answerRequest(request: IncomingMessage, response: ServerResponse, health: () => object): void {
  const path = request.url?.split("?", 1)[0]
  const isRead = request.method === "GET" || request.method === "HEAD"
  if (path === "/health" && isRead) {
    respond(response, 200, "application/json", `${JSON.stringify(health())}\n`)
  } else if (path === "/" && isRead) {
    response.setHeader("Upgrade", "websocket")
    respond(response, 426, "text/plain", "this is an agentchat relay; connect with a WebSocket\n")
  } else {
    respond(response, 404, "text/plain", "not found\n")
  }
}

function respond(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { "Content-Type": type, "Cache-Control": "no-store" })
  response.end(body)
}

function listenError(error: NodeJS.ErrnoException, port: number, host: string): ChatError {
  if (error.code === "EADDRINUSE") {
    return new ChatError("ALREADY_RUNNING", `port ${port} of ${host} is held by another program`, {
      hint: "stop it, or choose another port with --port",
      cause: error,
    })
  }
  return new ChatError("USAGE", `cannot listen on port ${port} of ${host} (${error.code ?? error.message})`, {
    cause: error,
  })
}
