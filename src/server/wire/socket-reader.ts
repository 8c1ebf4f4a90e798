import type { Socket } from "node:net"
import type { WebSocket } from "../../base/websocket.js"
import type { ByteBudget } from "../sessions/byte-budget.js"
import { FrameDecoder, type FrameSink } from "./frame-decoder.js"

/** The session whose messages a {@link SocketReader} reads. */
export interface SocketReaderOwner extends FrameSink {
  /** Most bytes of an incomplete message. */
  readonly maxHeldBytes: number
  /** Called for a message that cannot be handled; `problem` says why. */
  onInvalid(problem: string): void
  /** Called when an incomplete message exceeds {@link maxHeldBytes}, or the budget of the relay. */
  onTooLarge(): void
}

/**
 * Reads the messages of a connection in order. Plain text frames are read by our own decoder, everything else by the
 * WebSocket library.
 */
export class SocketReader {
  readonly #owner: SocketReaderOwner
  readonly #budget: ByteBudget
  #heldBytes = 0

  /**
   * @param socket - the socket of `webSocket`, before it has read anything
   * @param maxBytes - size of the largest message that is handled
   * @param budget - for the incomplete messages of all connections
   */
  constructor(
    webSocket: WebSocket,
    socket: Socket,
    owner: SocketReaderOwner,
    maxBytes: number,
    budget: ByteBudget,
  ) {
    this.#owner = owner
    this.#budget = budget
    const [toLibrary, ...others] = socket.listeners("data") as ((this: Socket, bytes: Buffer) => void)[]
    if (toLibrary === undefined || others.length > 0) {
      throw new Error("socket reader: the socket has other readers")
    }
    const decoder = new FrameDecoder(owner, (bytes) => toLibrary.call(socket, bytes), maxBytes)
    socket.removeListener("data", toLibrary)
    socket.on("data", (chunk: Buffer) => {
      decoder.read(chunk)
      this.#hold(decoder.heldBytes)
    })
    socket.on("close", () => this.#hold(0))
    webSocket.on("message", (data: Buffer, isBinary: boolean) => {
      if (!owner.isReadable) return
      if (isBinary) owner.onInvalid("is binary; send text")
      else if (data.length > maxBytes) {
        owner.onInvalid(`has ${data.length} bytes; at most ${maxBytes} are read`)
      } else owner.onText(data.toString())
    })
  }

  /** Sets the size of the incomplete message. */
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
}
