/** JSON-RPC 2.0 over lines, as MCP uses it on standard input and output. */
import type { Readable } from "node:stream"
import { StringDecoder } from "node:string_decoder"
import { isPlain, stackOf } from "../base/plain.js"

/** Codes of JSON-RPC 2.0. */
export const rpcCodes = {
  parse: -32_700,
  request: -32_600,
  method: -32_601,
  params: -32_602,
  internal: -32_603,
} as const

/** An error that answers a request. */
export class RpcError extends Error {
  readonly code: number
  readonly data: unknown

  constructor(code: number, message: string, data?: unknown) {
    super(message)
    this.code = code
    this.data = data
  }
}

type Members = Readonly<Record<string, unknown>>
type Id = string | number

/** A request or notification as its handler sees it. */
export interface Call {
  readonly method: string
  readonly params: Members
  /** Aborted when the client cancels the request or is gone. */
  readonly signal: AbortSignal
  /** Sends a notification to the client. */
  readonly notify: (method: string, params: Members) => void
  /**
   * Sends the answer before the handler ends. @returns once the operating system has it
   * @throws {RpcError} if nobody waits for it any more
   */
  readonly answer: (result: Members) => Promise<void>
}

export interface RpcOptions {
  readonly input: Readable
  /** Writes a line without its newline. Resolves once the operating system has it, rejects if it cannot be written. */
  readonly write: (line: string) => Promise<void>
  /** Answers a request, unless it has called {@link Call.answer}. */
  readonly handle: (call: Call) => Promise<Members | undefined>
  /** Reports an error that is a bug. */
  readonly onBug: (line: string) => void
}

/** Bytes of the longest line that is read. */
const maxLine = 4 * 1024 * 1024

/** Answers the requests of one client, each as it comes: a slow one keeps no other from being answered. */
export class RpcServer {
  readonly #options: RpcOptions
  readonly #running = new Map<Id, AbortController>()
  readonly #tasks = new Set<Promise<void>>()

  constructor(options: RpcOptions) {
    this.#options = options
  }

  /** Resolves when the input has ended and every request is answered. */
  async run(): Promise<void> {
    for await (const line of linesOf(this.#options.input)) {
      const task = this.#take(line)
      this.#tasks.add(task)
      void task.finally(() => this.#tasks.delete(task))
    }
    for (const controller of this.#running.values()) controller.abort()
    await Promise.all(this.#tasks)
  }

  async #take(line: string | undefined): Promise<void> {
    if (line === undefined) {
      this.#send(failure(null, rpcCodes.parse, `the line is longer than ${maxLine} bytes`))
      return
    }
    if (line.trim() === "") return
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch {
      this.#send(failure(null, rpcCodes.parse, "the line is not valid JSON"))
      return
    }
    if (!Array.isArray(value)) {
      await this.#takeMessage(value, (answer) => this.#write(answer))
      return
    }
    if (value.length === 0) this.#send(failure(null, rpcCodes.request, "the batch is empty"))
    // Batches of MCP 2025-03-26: their answers go out together.
    const answers: unknown[] = []
    const keep = (answer: Members) => Promise.resolve(void answers.push(answer))
    await Promise.all(value.map((each) => this.#takeMessage(each, keep)))
    if (answers.length > 0) this.#send(answers)
  }

  async #takeMessage(message: unknown, write: (answer: Members) => Promise<void>): Promise<void> {
    const read = readMessage(message)
    if (read === undefined) return
    if (read instanceof RpcError) return write(failure(read.data as Id | null, read.code, read.message))
    const { id, method, params } = read
    if (id !== undefined) await this.#answer({ id, method, params }, write)
    else if (method === "notifications/cancelled") this.#cancel(params["requestId"])
  }

  async #answer(
    { id, method, params }: { id: Id; method: string; params: Members },
    write: (answer: Members) => Promise<void>,
  ): Promise<void> {
    const controller = new AbortController()
    this.#running.set(id, controller)
    const state = { isAnswered: false }
    const answer = async (result: Members) => {
      if (controller.signal.reason === cancelled) throw new RpcError(rpcCodes.internal, "cancelled")
      state.isAnswered = true
      await write({ jsonrpc: "2.0", id, result })
    }
    const notify = (name: string, values: Members) =>
      this.#send({ jsonrpc: "2.0", method: name, params: values })
    try {
      const result = await this.#options.handle({ method, params, signal: controller.signal, notify, answer })
      if (!state.isAnswered && result !== undefined) await answer(result)
    } catch (error) {
      const isOver = state.isAnswered || controller.signal.reason === cancelled
      if (!isOver) await write(this.#failureOf(id, error)).catch(() => {})
    } finally {
      if (this.#running.get(id) === controller) this.#running.delete(id)
    }
  }

  #failureOf(id: Id, error: unknown): Members {
    if (error instanceof RpcError) return failure(id, error.code, error.message, error.data)
    this.#options.onBug(stackOf(error))
    return failure(id, rpcCodes.internal, "internal error of agentchat; see its standard error")
  }

  #cancel(id: unknown): void {
    this.#running.get(id as Id)?.abort(cancelled)
  }

  #write(message: unknown): Promise<void> {
    return this.#options.write(JSON.stringify(message))
  }

  /** Nobody waits for the outcome. */
  #send(message: unknown): void {
    this.#write(message).catch(() => {})
  }
}

const cancelled = "cancelled"

/** A request, or a notification, which has no id. */
interface Message {
  readonly id: Id | undefined
  readonly method: string
  readonly params: Members
}

/** @returns the error of anything else, with the id to answer with as `data`; undefined for what is not answered */
function readMessage(message: unknown): Message | RpcError | undefined {
  if (!isPlain(message)) return notRequest(null)
  const { jsonrpc, method, id, params = {} } = message
  const knownId = isId(id) ? id : undefined
  if (jsonrpc !== "2.0" || typeof method !== "string" || knownId !== id) {
    const isAnswer = "result" in message || "error" in message
    return isAnswer ? undefined : notRequest(knownId ?? null)
  }
  if (isPlain(params)) return { id: knownId, method, params }
  return knownId === undefined
    ? undefined
    : new RpcError(rpcCodes.params, "params: must be an object", knownId)
}

function isId(id: unknown): id is Id {
  return typeof id === "string" || Number.isSafeInteger(id)
}

function notRequest(id: Id | null): RpcError {
  return new RpcError(rpcCodes.request, "not a JSON-RPC 2.0 request", id)
}

function failure(id: Id | null, code: number, message: string, data?: unknown): Members {
  return { jsonrpc: "2.0", id, error: { code, message, ...(data === undefined ? {} : { data }) } }
}

/** Yields lines; undefined for one that is too long. The last one needs no newline. */
async function* linesOf(input: Readable): AsyncGenerator<string | undefined> {
  const decoder = new StringDecoder("utf8")
  let rest = ""
  let isSkipping = false
  for await (const chunk of input) {
    const lines = (rest + (typeof chunk === "string" ? chunk : decoder.write(chunk as Buffer))).split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) {
      if (!isSkipping) yield line.length > maxLine ? undefined : line
      isSkipping = false
    }
    if (rest.length <= maxLine) continue
    if (!isSkipping) yield undefined
    isSkipping = true
    rest = ""
  }
  if (rest !== "" && !isSkipping) yield rest
}
