import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { Worker } from "node:worker_threads"
import { ChatError } from "../../protocol/errors.js"
import { Listeners } from "../listeners.js"
import type {
  StoreAnswer,
  StoreFailure,
  StoreOp,
  StoreOrder,
  StoreReply,
  StoreRequest,
  StoreResults,
} from "./operations.js"
import { isReading } from "./operations.js"

/** Operations of one batch at most, and characters they write; what is beyond waits for the next. */
const batchOps = 2_000
const batchLength = 8 * 1024 * 1024

/** Characters that may wait for the store; beyond this it is too slow and writes are refused. */
const waitingLength = 128 * 1024 * 1024

/** The JavaScript file of the store's thread. */
export const workerFile = fileURLToPath(new URL("./worker.js", import.meta.url))

interface Asked {
  readonly op: StoreOp
  readonly length: number
  readonly settle: (answer: StoreAnswer) => void
}

/**
 * The way to the thread that holds a store. What is asked while a batch is under way goes together in the next, which
 * is one transaction and one write to the disk (group commit). Answers come in the order of the questions.
 */
export class StoreLink {
  readonly id: string
  readonly #worker: Worker
  readonly #exited: Promise<void>
  readonly #onReach = new Listeners<boolean>()
  /** Not sent yet. */
  #waiting: Asked[] = []
  #waitingLength = 0
  /** Sent and not answered. */
  #asked: Asked[] = []
  #isSending = false
  #isReachable = true
  #isOver = false
  #fault = ""
  #onIdle: (() => void) | undefined

  private constructor(worker: Worker, exited: Promise<void>, id: string) {
    this.#worker = worker
    this.#exited = exited
    this.id = id
    worker.on("message", (reply: StoreReply) => {
      if (reply.kind === "answers") this.#onAnswers(reply.answers, reply.fault)
    })
    worker.on("error", (error) => this.#fail(`the store's thread failed: ${error.message}`))
    void exited.then(() => this.#fail("the store's thread has ended"))
  }

  /**
   * @param program - the file of the store's thread
   * @throws {ChatError} what `SqlStore` throws
   */
  static async open(order: StoreOrder, program: string): Promise<StoreLink> {
    const worker = new Worker(program, { workerData: order })
    const exited = new Promise<void>((resolve) => void worker.once("exit", () => resolve()))
    const [reply] = (await once(worker, "message")) as [StoreReply]
    if (reply.kind === "opened") return new StoreLink(worker, exited, reply.id)
    await exited
    throw toError(reply.kind === "failed" ? reply.failure : unavailable("the store did not open"))
  }

  /** Whether the last thing that was to be written was. */
  get isReachable(): boolean {
    return this.#isReachable
  }

  /** Why the store could not be written when that was last so. */
  get fault(): string {
    return this.#fault
  }

  onReach(listener: (isReachable: boolean) => void): void {
    this.#onReach.add(listener)
  }

  /**
   * Asks for an operation. `tell` is called with its result in the order of the questions, before the promise resolves.
   * @throws {ChatError} MAILBOX_FULL; UNAVAILABLE, and then nothing was written
   */
  ask<Op extends StoreOp>(
    op: Op,
    tell?: (result: StoreResults[Op["op"]]) => void,
  ): Promise<StoreResults[Op["op"]]> {
    return new Promise((resolve, reject) => {
      const settle = (answer: StoreAnswer): void => {
        if (!answer.ok) {
          reject(toError(answer.failure))
          return
        }
        const result = answer.value as StoreResults[Op["op"]]
        try {
          tell?.(result)
          resolve(result)
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
        }
      }
      this.#enqueue({ op, length: lengthOf(op), settle })
    })
  }

  /** Lets everything that was asked be answered, and ends the thread; the file is free then. */
  async close(): Promise<void> {
    if (this.#isSending || this.#waiting.length > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve
      })
    }
    this.#isOver = true
    this.#post({ kind: "close" })
    await this.#exited
  }

  #enqueue(asked: Asked): void {
    if (this.#isOver) asked.settle({ ok: false, failure: unavailable("the store is closed") })
    else if (this.#waitingLength > waitingLength && !isReading(asked.op)) {
      asked.settle({ ok: false, failure: unavailable("the store is too slow for what it is to keep") })
    } else {
      this.#waiting.push(asked)
      this.#waitingLength += asked.length
      this.#sendSoon()
    }
  }

  /** At the end of the running turn, so that what is asked in one turn goes together. */
  #sendSoon(): void {
    if (this.#isSending) return
    this.#isSending = true
    queueMicrotask(() => this.#send())
  }

  #send(): void {
    this.#asked = this.#take()
    this.#post({ kind: "batch", ops: this.#asked.map(({ op }) => op) })
  }

  #take(): Asked[] {
    let length = 0
    let count = 0
    for (const asked of this.#waiting) {
      const isAlone = asked.op.op === "compact" || this.#waiting[0]?.op.op === "compact"
      if (count > 0 && (isAlone || count >= batchOps || length + asked.length > batchLength)) break
      length += asked.length
      count++
    }
    const batch = this.#waiting.slice(0, count)
    this.#waiting = this.#waiting.slice(count)
    this.#waitingLength -= length
    return batch
  }

  #onAnswers(answers: readonly StoreAnswer[], fault: string | undefined): void {
    const asked = this.#asked
    this.#asked = []
    this.#isSending = false
    if (fault !== undefined) this.#setReachable(false, fault)
    else if (!asked.every(({ op }) => isReading(op))) this.#setReachable(true)
    const missing: StoreAnswer = { ok: false, failure: unavailable("the store did not answer") }
    for (const [index, { settle }] of asked.entries()) settle(answers[index] ?? missing)
    if (this.#waiting.length > 0) this.#sendSoon()
    else this.#onIdle?.()
  }

  #fail(message: string): void {
    if (this.#isOver) return
    this.#isOver = true
    const all = [...this.#asked, ...this.#waiting]
    this.#asked = []
    this.#waiting = []
    this.#setReachable(false, message)
    for (const { settle } of all) settle({ ok: false, failure: unavailable(message) })
    this.#onIdle?.()
  }

  #setReachable(isReachable: boolean, fault = this.#fault): void {
    this.#fault = fault
    if (this.#isReachable === isReachable) return
    this.#isReachable = isReachable
    this.#onReach.tell(isReachable)
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
