import type { Socket } from "node:net"
import type { ByteBudget } from "../sessions/byte-budget.js"
import { FrameBatch } from "./frame-buffer.js"
import type { Payload } from "./frame-encoder.js"
import type { Flushable, WriteScheduler } from "./write-scheduler.js"

/** What a queue needs to know of the session it belongs to. */
export interface SendQueueOwner {
  /** Whether frames may still be written: not once a close frame was sent or is due. */
  readonly isWritable: boolean
  /** The reader is further behind than `maxBytes`; the queue is empty and takes nothing more. */
  onOverflow(): void
}

/** Most bytes handed to a socket each time it drains: what is in the socket cannot be taken back. */
const drainBytes = 1024 * 1024
/** What keeping one Buffer costs beside its bytes. */
const bufferOverheadBytes = 256

const none: FrameBatch[] = []

/**
 * Everything on its way to one session. Frames are written to the raw socket, whole, between which the
 * WebSocket library may write its own control frames. While the socket does not drain they wait here, where
 * they can still be dropped; beyond `maxBytes` the reader is cut so that it costs nobody else memory or time.
 */
export class SendQueue implements Flushable {
  readonly #socket: Socket
  readonly #owner: SendQueueOwner
  readonly #tick: WriteScheduler
  readonly #maxBytes: number
  readonly #budget: ByteBudget | undefined
  #runs: FrameBatch[] = none
  #own: FrameBatch | undefined
  #ownBytes = 0
  #backlog: Buffer[] | undefined
  #backlogBytes = 0
  #isEnded = false
  #waiters: (() => void)[] = []

  /** @param budget - for what waits for all sessions together */
  constructor(
    socket: Socket,
    owner: SendQueueOwner,
    tick: WriteScheduler,
    maxBytes: number,
    budget?: ByteBudget,
  ) {
    this.#socket = socket
    this.#owner = owner
    this.#tick = tick
    this.#maxBytes = maxBytes
    this.#budget = budget
  }

  /** Bytes that wait because the reader does not read, in this queue and in the socket. */
  get waitingBytes(): number {
    return this.#backlogBytes + this.#socket.writableLength
  }

  /** Resolves when less than `bytes` wait, or nothing will be sent any more. */
  async whenBelow(bytes: number): Promise<void> {
    // What is queued in this turn is written at its end.
    await new Promise((resolve) => setImmediate(resolve))
    while (!this.#isEnded && this.waitingBytes >= bytes) {
      await new Promise<void>((resolve) => {
        this.#waiters.push(resolve)
        if (this.#socket.writableNeedDrain) this.#socket.once("drain", () => this.#wake())
        else setImmediate(() => this.#wake())
      })
    }
  }

  #wake(): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const wake of waiters) wake()
  }

  /** Queues one message for this session alone. */
  send(payload: Payload): void {
    if (this.#isEnded) return
    const page = this.#tick.append(payload)
    if (this.#own?.extend(page) !== true) {
      const own = new FrameBatch(page)
      this.push(own)
      this.#own = own
    }
    this.#ownBytes += payload.bytes
    if (this.#ownBytes > this.#maxBytes) this.#overflow()
  }

  /** Queues a run that others may queue as well. */
  push(run: FrameBatch): void {
    if (this.#isEnded) return
    const last = this.#runs.at(-1)
    if (last === undefined) {
      this.#runs = [run]
      this.#tick.schedule(this)
    } else {
      last.seal()
      this.#runs.push(run)
    }
  }

  takeBatches(): readonly FrameBatch[] {
    const runs = this.#runs
    this.#runs = none
    this.#own = undefined
    this.#ownBytes = 0
    return runs
  }

  write(frames: Buffer): void {
    if (this.#isEnded || !this.#owner.isWritable) return
    if (this.#backlog === undefined && !this.#socket.writableNeedDrain) {
      this.#socket.write(frames)
      return
    }
    const fits = this.#budget?.fits(frames.length + bufferOverheadBytes) ?? true
    if (fits) this.#park(frames)
    if (!fits || this.waitingBytes > this.#maxBytes) this.#overflow()
  }

  /** Hands all that waits to the socket and takes nothing more: the close frame comes next. */
  end(): void {
    if (this.#isEnded) return
    const runs = this.takeBatches()
    this.#isEnded = true
    if (!this.#owner.isWritable) return
    for (const frames of this.#backlog ?? []) this.#socket.write(frames)
    for (const run of runs) this.#socket.write(run.frames)
    this.#forget()
  }

  /** Drops all that waits and takes nothing more. */
  drop(): void {
    this.#isEnded = true
    this.takeBatches()
    this.#forget()
  }

  #park(frames: Buffer): void {
    if (this.#backlog === undefined) {
      this.#backlog = []
      this.#awaitDrain()
    }
    this.#backlog.push(detach(frames))
    this.#backlogBytes += frames.length + bufferOverheadBytes
    this.#budget?.take(frames.length + bufferOverheadBytes)
  }

  #awaitDrain(): void {
    this.#socket.once("drain", () => {
      if (this.#backlog !== undefined && this.#owner.isWritable) this.#drain(this.#backlog)
    })
  }

  #drain(backlog: Buffer[]): void {
    let bytes = 0
    let taken = 0
    this.#socket.cork()
    for (const frames of backlog) {
      if (bytes > drainBytes) break
      this.#socket.write(frames)
      bytes += frames.length
      taken++
    }
    this.#socket.uncork()
    this.#backlogBytes -= bytes + taken * bufferOverheadBytes
    this.#budget?.give(bytes + taken * bufferOverheadBytes)
    if (taken === backlog.length) this.#backlog = undefined
    else {
      backlog.splice(0, taken)
      this.#awaitDrain()
    }
  }

  #overflow(): void {
    if (this.#isEnded) return
    this.drop()
    this.#owner.onOverflow()
  }

  #forget(): void {
    this.#backlog = undefined
    this.#budget?.give(this.#backlogBytes)
    this.#backlogBytes = 0
    this.#wake()
  }
}

/** A few bytes must not keep a whole page alive. */
function detach(frames: Buffer): Buffer {
  if (frames.buffer.byteLength <= 2 * frames.length) return frames
  const copy = Buffer.allocUnsafeSlow(frames.length)
  frames.copy(copy)
  return copy
}
