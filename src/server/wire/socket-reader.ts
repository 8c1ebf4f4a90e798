import type { Socket } from "node:net"
import type { WebSocket } from "../../base/websocket.js"
import type { ByteBudget } from "../sessions/byte-budget.js"
import { FrameDecoder, type FrameSink } from "./frame-decoder.js"

/** Whom the messages of a connection are for. */
export interface SocketReaderOwner {
  /** Whether messages are still taken. */
  readonly isReadable: boolean
  /** Takes one message, as the text it came as. */
  onText(text: string): void
  /** Most bytes of a message that is kept until the rest of it arrives. */
  readonly maxHeldBytes: number
  /** Takes note of one that is not read; `problem` says why. */
  onInvalid(problem: string): void
  /** More than {@link maxHeldBytes}, or than the relay has room for, would have to be kept. */
  onTooLarge(): void
}

/**
 * Everything a peer says, in order, whichever of two readers read it: plain text frames our own, all else the
 * WebSocket library, to which the socket's bytes would go by themselves.
 */
export class SocketReader implements FrameSink {
  readonly #owner: SocketReaderOwner
  readonly #socket: Socket
  readonly #toLibrary: (this: Socket, bytes: Buffer) => void
  readonly #budget: ByteBudget
  #heldBytes = 0

  /**
   * @param socket - the one under `webSocket`, before it has read anything
   * @param maxBytes - of a message that is read
   * @param budget - for what has not wholly arrived, of all connections
   */
  constructor(
    webSocket: WebSocket,
    socket: Socket,
    owner: SocketReaderOwner,
    maxBytes: number,
    budget: ByteBudget,
  ) {
    this.#owner = owner
    this.#socket = socket
    this.#budget = budget
    const [toLibrary, ...others] = socket.listeners("data") as ((this: Socket, bytes: Buffer) => void)[]
    if (toLibrary === undefined || others.length > 0) throw new Error("inlet: the socket has other readers")
    this.#toLibrary = toLibrary
    const reader = new FrameDecoder(this, maxBytes)
    socket.removeListener("data", toLibrary)
    socket.on("data", (chunk: Buffer) => {
      reader.read(chunk)
      this.#hold(reader.heldBytes)
    })
    socket.on("close", () => this.#hold(0))
    webSocket.on("message", (data: Buffer, isBinary: boolean) => {
      if (!owner.isReadable) return
      if (isBinary) owner.onInvalid("is binary; send text")
      else if (data.length > maxBytes)
        owner.onInvalid(`has ${data.length} bytes; at most ${maxBytes} are read`)
      else owner.onText(data.toString())
    })
  }

  #hold(bytes: number): void {
    const more = bytes - this.#heldBytes
    if (more === 0) return
    if (more > 0 && (bytes > this.#owner.maxHeldBytes || !this.#budget.fits(more))) {
      this.#owner.onTooLarge()
      return
    }
    this.#budget.take(more)
    this.#heldBytes = bytes
  }

  get isOpen(): boolean {
    return this.#owner.isReadable
  }

  onText(text: string): void {
    this.#owner.onText(text)
  }

  onOther(bytes: Buffer): void {
    this.#toLibrary.call(this.#socket, bytes)
  }
}
