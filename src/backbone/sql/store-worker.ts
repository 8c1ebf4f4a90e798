import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { Worker } from "node:worker_threads"
import { ChatError } from "../../protocol/errors.js"
import { Listeners } from "../listeners.js"
import {
  isAlone,
  isRead,
  type StoreAnswer,
  type StoreFailure,
  type StoreOp,
  type StoreOps,
  type StoreOptions,
  type StoreReply,
  type StoreRequest,
  type StoreResult,
} from "./worker-protocol.js"

/** Most operations of one batch, and most characters they write. */
const batchOps = 2_000
const batchLength = 8 * 1024 * 1024

/** Most characters that may wait for the store; beyond this, writes are refused. */
const maxQueuedLength = 128 * 1024 * 1024

/** The JavaScript file of the worker thread. */
export const workerFile = fileURLToPath(new URL("./worker.js", import.meta.url))

interface PendingOp {
  readonly op: StoreOp
  readonly length: number
  readonly settle: (answer: StoreAnswer) => void
}

/**
 * The worker thread of a store. Operations that arrive during a batch form the next one, which is one transaction and
 * one write to disk (group commit). Answers come in the order of the operations.
 */
export class StoreWorker {
  readonly id: string
  readonly #worker: Worker
  readonly #exited: Promise<void>
  readonly #reachability = new Listeners<boolean>()
  #queued: PendingOp[] = []
  #queuedLength = 0
  #sent: PendingOp[] = []
  #isSending = false
  #isReachable = true
  #hasEnded = false
  #fault = ""
  #onIdle: (() => void) | undefined

  private constructor(worker: Worker, exited: Promise<void>, id: string) {
    this.#worker = worker
    this.#exited = exited
    this.id = id
    worker.on("message", (reply: StoreReply) => {
      if (reply.kind === "answers") this.#onAnswers(reply.answers, reply.fault)
    })
    worker.on("error", (error) => this.#fail(`store: worker thread failed: ${error.message}`))
    void exited.then(() => this.#fail("store: worker thread has ended"))
  }

  /**
   * Starts the worker and opens the store.
   * @param program - the JavaScript file of the worker
   * @throws {ChatError} as `SqlStore` does
   */
  static async open(options: StoreOptions, program: string): Promise<StoreWorker> {
    const worker = new Worker(program, { workerData: options })
    const exited = new Promise<void>((resolve) => void worker.once("exit", () => resolve()))
    const [reply] = (await once(worker, "message")) as [StoreReply]
    if (reply.kind === "opened") return new StoreWorker(worker, exited, reply.id)
    await exited
    throw toError(reply.kind === "failed" ? reply.failure : unavailable("the store did not open"))
  }

  /** False if the last write failed. */
  get isReachable(): boolean {
    return this.#isReachable
  }

  /** The reason of the last failed write. */
  get fault(): string {
    return this.#fault
  }

  onReachabilityChange(listener: (isReachable: boolean) => void): void {
    this.#reachability.add(listener)
  }

  /**
   * Runs an operation.
   * @param onResult - called with the result before the promise resolves, in the order of the operations
   * @throws {ChatError} MAILBOX_FULL; UNAVAILABLE, after which nothing was written
   */
  ask<Name extends keyof StoreOps>(
    op: StoreOp<Name>,
    onResult?: (result: StoreResult<Name>) => void,
  ): Promise<StoreResult<Name>> {
    return new Promise((resolve, reject) => {
      const settle = (answer: StoreAnswer): void => {
        if (!answer.ok) {
          reject(toError(answer.failure))
          return
        }
        const result = answer.value as StoreResult<Name>
        try {
          onResult?.(result)
          resolve(result)
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
        }
      }
      const pending = op as StoreOp
      this.#enqueue({ op: pending, length: lengthOf(pending), settle })
    })
  }

  /** Completes all operations and ends the worker, which releases the file. */
  async close(): Promise<void> {
    if (this.#isSending || this.#queued.length > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve
      })
    }
    this.#hasEnded = true
    this.#post({ kind: "close" })
    await this.#exited
  }

  #enqueue(pending: PendingOp): void {
    if (this.#hasEnded) pending.settle({ ok: false, failure: unavailable("the store is closed") })
    else if (this.#queuedLength > maxQueuedLength && !isRead(pending.op)) {
      pending.settle({ ok: false, failure: unavailable("the store cannot keep up with the writes") })
    } else {
      this.#queued.push(pending)
      this.#queuedLength += pending.length
      this.#sendSoon()
    }
  }

  /** Sends at the end of this turn, so that the operations of one turn form one batch. */
  #sendSoon(): void {
    if (this.#isSending) return
    this.#isSending = true
    queueMicrotask(() => this.#send())
  }

  #send(): void {
    this.#sent = this.#take()
    this.#post({ kind: "batch", ops: this.#sent.map(({ op }) => op) })
  }

  #take(): PendingOp[] {
    let length = 0
    let count = 0
    for (const pending of this.#queued) {
      const first = this.#queued[0]?.op ?? pending.op
      const hasToEnd = isAlone(pending.op) || isAlone(first)
      if (count > 0 && (hasToEnd || count >= batchOps || length + pending.length > batchLength)) break
      length += pending.length
      count++
    }
    const batch = this.#queued.slice(0, count)
    this.#queued = this.#queued.slice(count)
    this.#queuedLength -= length
    return batch
  }

  #onAnswers(answers: readonly StoreAnswer[], fault: string | undefined): void {
    const pending = this.#sent
    this.#sent = []
    this.#isSending = false
    if (fault !== undefined) this.#setReachable(false, fault)
    else if (!pending.every(({ op }) => isRead(op))) this.#setReachable(true)
    const missing: StoreAnswer = { ok: false, failure: unavailable("the store did not answer") }
    for (const [index, { settle }] of pending.entries()) settle(answers[index] ?? missing)
    if (this.#queued.length > 0) this.#sendSoon()
    else this.#onIdle?.()
  }

  #fail(message: string): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    const all = [...this.#sent, ...this.#queued]
    this.#sent = []
    this.#queued = []
    this.#setReachable(false, message)
    for (const { settle } of all) settle({ ok: false, failure: unavailable(message) })
    this.#onIdle?.()
  }

  #setReachable(isReachable: boolean, fault = this.#fault): void {
    this.#fault = fault
    if (this.#isReachable === isReachable) return
    this.#isReachable = isReachable
    this.#reachability.emit(isReachable)
  }

  #post(request: StoreRequest): void {
    this.#worker.postMessage(request)
  }
}

function lengthOf(op: StoreOp): number {
  return "value" in op ? op.value.length : 0
}

function unavailable(message: string): StoreFailure {
  return { code: "UNAVAILABLE", message }
}

function toError({ code, message, hint }: StoreFailure): ChatError {
  return new ChatError(code, message, hint === undefined ? {} : { hint })
}
