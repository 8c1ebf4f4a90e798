import { createHash } from "node:crypto"
import { accessSync, chmodSync, constants, lstatSync, mkdirSync, readdirSync, rmSync } from "node:fs"
import { connect, createServer, type Server, type Socket } from "node:net"
import { dirname, isAbsolute, join } from "node:path"
import { logFormats, logLevels } from "../../base/log.js"
import { isPlain } from "../../base/plain.js"
import { ChatError, type ErrorCode, isErrorCode } from "../../protocol/errors.js"
import { card } from "../../protocol/message-fields.js"
import {
  boolean,
  Fault,
  list,
  literal,
  number,
  object,
  oneOf,
  optional,
  record,
  type Schema,
  string,
} from "../../protocol/schema.js"
import type { DaemonStart } from "../options.js"

/** A request to a host process. */
export type ControlRequest =
  | { readonly op: "start"; readonly start: DaemonStart }
  | { readonly op: "stop"; readonly name: string }
  | { readonly op: "restart"; readonly name: string }
  | { readonly op: "reset-guard"; readonly name: string }
  | { readonly op: "test-wake"; readonly name: string }

const daemonStart = object({
  name: string,
  server: string,
  nick: string,
  identity: optional(string),
  ephemeral: boolean,
  channels: optional(list(string)),
  role: optional(string),
  card: optional(card),
  compat: boolean,
  echo: boolean,
  approve_deals: optional(boolean),
  guards: optional(record(string, number(0))),
  on_message: optional(string),
  webhook: optional(string),
  notify: optional(boolean),
  log: optional(object({ format: optional(oneOf(logFormats)), level: optional(oneOf(logLevels)) })),
})
const requests: Record<ControlRequest["op"], Schema<unknown>> = {
  start: object({ op: literal("start"), start: daemonStart }),
  stop: object({ op: literal("stop"), name: string }),
  restart: object({ op: literal("restart"), name: string }),
  "reset-guard": object({ op: literal("reset-guard"), name: string }),
  "test-wake": object({ op: literal("test-wake"), name: string }),
}

/** The reply to a request: success, perhaps with lines for the user, or an error. */
export type ControlReply =
  | { readonly ok: true; readonly notices?: readonly string[] }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly hint?: string }

/** Largest request or reply, in characters. */
const maxLength = 64 * 1024

/** Longest path of a socket, in bytes: BSD and macOS have 104 bytes for it, the last of them 0. */
const maxPathBytes = 103

/** Where a control socket may be. */
export interface SocketPlaces {
  /** Directories to try in this order, such as `$XDG_RUNTIME_DIR`; those that are no absolute path are skipped. */
  readonly runtimeDirs: readonly (string | undefined)[]
  readonly uid: number
  /** The `.agentchat` directory. */
  readonly root: string
  readonly pid: number
}

/**
 * Returns the path of a host's control socket and creates its directory. The socket is in the `.agentchat` directory
 * only if there is no other place, because shared mounts often do not support sockets, and its path may be too long.
 * @param log - gets a line for each directory that cannot be used
 * @throws {ChatError} FILE_FAILED if none of the directories can be used
 */
export function controlSocketPath(places: SocketPlaces, log: (line: string) => void = () => {}): string {
  const { runtimeDirs, uid, root, pid } = places
  const name = `${createHash("sha256").update(root).digest("hex").slice(0, 16)}-${pid}.sock`
  const absolute = runtimeDirs.filter((dir) => dir !== undefined && isAbsolute(dir)) as string[]
  let problem = "no directory for it is known"
  // Anybody can occupy a name in a directory for all users, but nobody else one in the home.
  for (const runtimeDir of new Set([...absolute, root])) {
    const path = runtimeDir === root ? join(root, name) : join(runtimeDir, `agentchat-${uid}`, name)
    const found = problemOf(path, uid, runtimeDir !== root)
    if (found === undefined) return path
    if (runtimeDir === root) break
    problem = `${runtimeDir}: ${found}`
    log(`control socket: ${problem}; another directory is used`)
  }
  throw new ChatError("FILE_FAILED", `control socket: ${problem}`, {
    hint: "set XDG_RUNTIME_DIR to a directory that you own, with a short path",
  })
}

/** Does nothing if something is there. @throws the system error */
function createDirectory(dir: string): void {
  if (lstatSync(dir, { throwIfNoEntry: false }) === undefined)
    mkdirSync(dir, { recursive: true, mode: 0o700 })
}

/** Creates the directory of a socket. @returns why it cannot be used; undefined if it can */
function problemOf(path: string, uid: number, mayCreate: boolean): string | undefined {
  if (Buffer.byteLength(path) > maxPathBytes) return `too long for a socket path of ${maxPathBytes} bytes`
  const dir = dirname(path)
  try {
    if (mayCreate) createDirectory(dir)
    const stat = lstatSync(dir)
    if (stat.uid !== uid) return `${dir} is owned by another user`
    if (!stat.isDirectory()) return `${dir} is not a directory`
    if (mayCreate) chmodSync(dir, 0o700)
    accessSync(dir, constants.W_OK | constants.X_OK)
    return undefined
  } catch (error) {
    return `cannot be used (${String((error as NodeJS.ErrnoException).code)})`
  }
}

/** Removes the sockets in the directory of `path` that nobody listens on: their processes were killed. */
export async function removeDeadSockets(path: string): Promise<void> {
  const dir = dirname(path)
  const sockets = readdirSync(dir).filter((name) => name.endsWith(".sock"))
  await Promise.all(sockets.map(async (name) => removeIfDead(join(dir, name))))
}

function removeIfDead(path: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(path, () => socket.destroy())
    socket.on("error", ({ code }: NodeJS.ErrnoException) => {
      if (code === "ECONNREFUSED") rmSync(path, { force: true })
    })
    socket.on("close", () => resolve())
  })
}

/** @throws {ChatError} INVALID_MSG, naming the member at fault; UNSUPPORTED for another `op` */
function parseRequest(line: string): ControlRequest {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw new ChatError("INVALID_MSG", "control request: is not JSON", { cause: error })
  }
  const op = isPlain(value) ? value["op"] : undefined
  if (typeof op !== "string" || !Object.hasOwn(requests, op)) {
    throw new ChatError(
      "UNSUPPORTED",
      `control request: op: must be one of ${Object.keys(requests).join(", ")}`,
    )
  }
  const request = requests[op as ControlRequest["op"]].read(value)
  if (!(request instanceof Fault)) return request as ControlRequest
  throw new ChatError("INVALID_MSG", `control request: ${request.path}: ${request.problem}`)
}

/** Serves the control socket of a host. */
export function serveControl(
  path: string,
  handle: (request: ControlRequest) => Promise<void>,
): Promise<Server> {
  return serveSocket(path, async (line) => {
    await handle(parseRequest(line))
    return { ok: true }
  })
}

/** Serves a socket that only this user can use: reads one request per connection and writes one reply. */
export function serveSocket(path: string, answer: (line: string) => Promise<ControlReply>): Promise<Server> {
  rmSync(path, { force: true })
  const server = createServer((socket) => {
    socket.on("error", () => {
      socket.destroy()
    })
    void readLine(socket)
      .then(answer)
      .catch((error: unknown) => replyOf(error))
      .then((reply) => socket.end(`${JSON.stringify(reply)}\n`))
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
  checkReply(await askSocket(path, request, timeoutMs, "the daemon process"))
}

/**
 * Sends a request to the program that listens on `path`. @returns the line of its reply
 * @param timeoutMs - 0 to wait until the program ends
 * @throws {ChatError} UNREACHABLE when there is no reply
 */
export async function askSocket(
  path: string,
  request: object,
  timeoutMs: number,
  program: string,
): Promise<string> {
  const socket = connect(path)
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error("no reply in time")))
  try {
    socket.write(`${JSON.stringify(request)}\n`)
    return await readLine(socket)
  } catch (error) {
    throw new ChatError("UNREACHABLE", `${program} does not answer on its socket`, { cause: error })
  } finally {
    socket.destroy()
  }
}

/** Checks a reply. @returns its notices @throws {ChatError} the error in it */
export function checkReply(line: string): readonly string[] {
  const reply = JSON.parse(line) as ControlReply
  if (reply.ok) return reply.notices ?? []
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
