import type { Socket } from "node:net"
import type { ByteBudget } from "../sessions/byte-budget.js"
import { FrameBatch } from "./frame-buffer.js"
import type { Flushable, WriteScheduler } from "./write-scheduler.js"

/** The session of a {@link SendQueue}. */
export interface SendQueueOwner {
  /** True until a close frame was sent or is due. */
  readonly isWritable: boolean
  /** Called when the peer is more than `maxBytes` behind. The queue is then empty and closed. */
  onOverflow(): void
}

/** Most bytes written to a socket each time it drains: what the socket has cannot be dropped any more. */
const drainBytes = 1024 * 1024
/** Memory that a Buffer takes besides its bytes. */
const bufferOverheadBytes = 256

const none: FrameBatch[] = []

/**
 * The messages to one session. Whole frames are written to the raw socket, and between them the WebSocket library
 * may write its own control frames. Frames that the socket cannot take wait here. When more than `maxBytes` wait, the
 * session is ended, so that a slow reader costs the others neither memory nor time.
 */
export class SendQueue implements Flushable {
  readonly #socket: Socket
  readonly #owner: SendQueueOwner
  readonly #writes: WriteScheduler
  readonly #maxBytes: number
  readonly #budget: ByteBudget | undefined
  #batches: FrameBatch[] = none
  #ownBatch: FrameBatch | undefined
  #ownBytes = 0
  #backlog: Buffer[] | undefined
  #backlogBytes = 0
  #isClosed = false
  #waiters: (() => void)[] = []

  /** @param budget - for the frames that wait in all queues */
  constructor(
    socket: Socket,
    owner: SendQueueOwner,
    writes: WriteScheduler,
    maxBytes: number,
    budget?: ByteBudget,
  ) {
    this.#socket = socket
    this.#owner = owner
    this.#writes = writes
    this.#maxBytes = maxBytes
    this.#budget = budget
  }

  /** Bytes that the peer has not read, in this queue and in the socket. */
  get waitingBytes(): number {
    return this.#backlogBytes + this.#socket.writableLength
  }

  /** Resolves when less than `bytes` wait, or the queue is closed. */
  async whenBelow(bytes: number): Promise<void> {
    // Messages queued in this turn are written at its end.
    await new Promise((resolve) => setImmediate(resolve))
    while (!this.#isClosed && this.waitingBytes >= bytes) {
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

  /** Queues a message, JSON, for this session alone. */
  send(text: string): void {
    if (this.#isClosed) return
    const buffer = this.#writes.append(text)
    if (this.#ownBatch?.extend(buffer) !== true) {
      const batch = new FrameBatch(buffer)
      this.push(batch)
      this.#ownBatch = batch
    }
    this.#ownBytes += buffer.usedBytes - buffer.lastStart
    if (this.#ownBytes > this.#maxBytes) this.#overflow()
  }

  /** Queues a batch that other sessions may queue too. */
  push(batch: FrameBatch): void {
    if (this.#isClosed) return
    const last = this.#batches.at(-1)
    if (last === undefined) {
      this.#batches = [batch]
      this.#writes.schedule(this)
    } else {
      last.seal()
      this.#batches.push(batch)
    }
  }

  takeBatches(): readonly FrameBatch[] {
    const batches = this.#batches
    this.#batches = none
    this.#ownBatch = undefined
    this.#ownBytes = 0
    return batches
  }

  write(frames: Buffer): void {
    if (this.#isClosed || !this.#owner.isWritable) return
    if (this.#backlog === undefined && !this.#socket.writableNeedDrain) {
      this.#socket.write(frames)
      return
    }
    const fits = this.#budget?.fits(frames.length + bufferOverheadBytes) ?? true
    if (fits) this.#park(frames)
    if (!fits || this.waitingBytes > this.#maxBytes) this.#overflow()
  }

  /** Writes everything that waits to the socket and closes the queue. The close frame comes next. */
  end(): void {
    if (this.#isClosed) return
    const batches = this.takeBatches()
    this.#isClosed = true
    if (!this.#owner.isWritable) return
    for (const frames of this.#backlog ?? []) this.#socket.write(frames)
    for (const batch of batches) this.#socket.write(batch.frames)
    this.#forget()
  }

  /** Drops everything that waits and closes the queue. */
  drop(): void {
    this.#isClosed = true
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
    if (this.#isClosed) return
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

/** Copies frames that would keep a much larger buffer in memory. */
function detach(frames: Buffer): Buffer {
  if (frames.buffer.byteLength <= 2 * frames.length) return frames
  const copy = Buffer.allocUnsafeSlow(frames.length)
  frames.copy(copy)
  return copy
}
