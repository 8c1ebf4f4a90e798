import { EventEmitter } from "node:events"
import type { Socket } from "node:net"
import { splitFrame } from "./wire.js"

/** A socket whose peer reads only when the test says so. */
export class FakeSocket extends EventEmitter {
  readonly written: Buffer[] = []
  writableNeedDrain = false
  writableLength = 0

  write(bytes: Buffer): boolean {
    this.written.push(bytes)
    if (this.writableNeedDrain) this.writableLength += bytes.length
    return !this.writableNeedDrain
  }

  cork = (): void => {}
  uncork = (): void => {}

  stall(): void {
    this.writableNeedDrain = true
  }

  drain(): void {
    this.writableNeedDrain = false
    this.writableLength = 0
    this.emit("drain")
  }

  /** The socket as its writers see it. */
  get socket(): Socket {
    return this as unknown as Socket
  }

  /** Every text written, in order. */
  get texts(): string[] {
    const texts: string[] = []
    for (let rest = Buffer.concat(this.written); rest.length > 0; ) {
      const frame = splitFrame(rest)
      if (frame === undefined) throw new Error("a frame is cut short")
      texts.push(frame.payload.toString())
      rest = rest.subarray(frame.end)
    }
    return texts
  }
}
