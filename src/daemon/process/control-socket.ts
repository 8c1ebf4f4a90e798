import { createHash } from "node:crypto"
import { chmodSync, lstatSync, mkdirSync, rmSync } from "node:fs"
import { connect, createServer, type Server, type Socket } from "node:net"
import { join } from "node:path"
import { ChatError, type ErrorCode, isErrorCode } from "../../protocol/errors.js"
import type { DaemonStart } from "../options.js"

/** A request to a host process. */
export type ControlRequest =
  | { readonly op: "start"; readonly start: DaemonStart }
  | { readonly op: "stop"; readonly name: string }
  | { readonly op: "reset-guard"; readonly name: string }

/** The reply to a request: success, or an error. */
export type ControlReply =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly hint?: string }

/** Largest request or reply, in characters. */
const maxLength = 64 * 1024

/**
 * Returns the path of a host's control socket and creates its directory. The socket is not in the `.agentchat` directory,
 * because a socket path is limited to 104 bytes and shared mounts often do not support sockets.
 * @param runtimeDir - `$XDG_RUNTIME_DIR`, or the directory for temporary files
 * @throws {ChatError} FILE_FAILED when another user owns the directory
 */
export function controlSocketPath(runtimeDir: string, uid: number, root: string, pid: number): string {
  const dir = join(runtimeDir, `agentchat-${uid}`)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const stat = lstatSync(dir)
  if (!stat.isDirectory() || stat.uid !== uid) {
    throw new ChatError("FILE_FAILED", `${dir}: owned by another user`, {
      hint: "set XDG_RUNTIME_DIR to a directory that you own",
    })
  }
  chmodSync(dir, 0o700)
  return join(dir, `${createHash("sha256").update(root).digest("hex").slice(0, 16)}-${pid}.sock`)
}

/** Serves the control socket: reads one request per connection and writes one reply. */
export function serveControl(
  path: string,
  handle: (request: ControlRequest) => Promise<void>,
): Promise<Server> {
  rmSync(path, { force: true })
  const server = createServer((socket) => {
    socket.on("error", () => {
      socket.destroy()
    })
    void readLine(socket)
      .then(async (line) => handle(JSON.parse(line) as ControlRequest))
      .then(
        () => ({ ok: true }) as const,
        (error: unknown) => replyOf(error),
      )
      .then((reply: ControlReply) => socket.end(`${JSON.stringify(reply)}\n`))
  })
  return new Promise((resolve, reject) => {
    server.once("error", reject)
    server.listen(path, () => {
      chmodSync(path, 0o600)
      resolve(server)
    })
  })
}

/**
 * Sends a request to the host that listens on `path`.
 * @throws {ChatError} the host's error; UNREACHABLE when there is no reply within `timeoutMs`
 */
export async function askControl(path: string, request: ControlRequest, timeoutMs: number): Promise<void> {
  const socket = connect(path)
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error("no reply in time")))
  let line: string
  try {
    socket.write(`${JSON.stringify(request)}\n`)
    line = await readLine(socket)
  } catch (error) {
    throw new ChatError("UNREACHABLE", "the daemon process does not answer on its socket", { cause: error })
  } finally {
    socket.destroy()
  }
  throwReply(line)
}

/** Checks a reply. @throws {ChatError} the error in it */
export function throwReply(line: string): void {
  const reply = JSON.parse(line) as ControlReply
  if (reply.ok) return
  const code: ErrorCode = isErrorCode(reply.code) ? reply.code : "UNSUPPORTED"
  throw new ChatError(code, reply.message, reply.hint === undefined ? {} : { hint: reply.hint })
}

/** Converts an error to a reply. */
export function replyOf(error: unknown): ControlReply {
  if (!(error instanceof ChatError)) return { ok: false, code: "UNSUPPORTED", message: String(error) }
  const { code, message, hint } = error
  return { ok: false, code, message, ...(hint === undefined ? {} : { hint }) }
}

/** Reads the first line of a stream. Rejects if the stream ends before it, or if it is too long. */
export function readLine(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ""
    socket.setEncoding("utf8")
    socket.on("data", (chunk: string) => {
      text += chunk
      if (text.includes("\n")) resolve(text.slice(0, text.indexOf("\n")))
      else if (text.length > maxLength) reject(new Error("request too large"))
    })
    socket.on("error", reject)
    socket.on("close", () => {
      reject(new Error("closed before the end of the line"))
    })
  })
}
