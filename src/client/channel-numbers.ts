import type { ServerMessage } from "../protocol/server-messages.js"

/** Numbers between two messages of one channel above which the second is not believed alone: channels may share a log. */
const maxLeap = 1_000_000

/**
 * Follows the numbers of one channel's messages in one session, so that a false one moves no position: a relay sends what
 * it numbered in order, after a JOINED that says how far the channel is.
 */
export class ChannelNumbers {
  /** The highest number so far. */
  #top: number
  /** The last number since JOINED. */
  #last: number | undefined
  /** A number far above `#top`, to be confirmed by the next one. */
  #leap: number | undefined

  constructor(top: number) {
    this.#top = top
  }

  /**
   * Takes the number of the next message.
   * @returns `next` if it is a position; `leap` if it is too high for one; `back` if it is below the last one, so that the
   * numbers began again or an earlier one was false
   */
  take(seq: number): "next" | "leap" | "back" {
    if (this.#last !== undefined && seq < this.#last) {
      this.#top = seq
      this.#last = seq
      return "back"
    }
    const leap = this.#leap
    const isConfirmed = leap !== undefined && seq > leap && seq <= leap + maxLeap
    if (seq > this.#top + maxLeap && !isConfirmed) {
      this.#leap = seq
      return "leap"
    }
    this.#top = Math.max(this.#top, seq)
    this.#last = seq
    return "next"
  }
}

/**
 * Returns the position to start over from if the relay's numbers are below the position of a JOIN, or it says that the
 * position is of another life of its store; otherwise undefined.
 * @param replayed - messages that the relay replays at most
 */
export function restartAfter(
  since: number | undefined,
  { seq, reset = false }: Pick<ServerMessage<"JOINED">, "seq" | "reset">,
  replayed: number,
): Restart | undefined {
  if (since === undefined || (seq >= since && !reset)) return undefined
  return { position: Math.max(0, seq - replayed), isFar: since > seq + replayed && !reset }
}

/** A position to start over from; `isFar` if a JOIN from there brings what the one before did not. */
interface Restart {
  readonly position: number
  readonly isFar: boolean
}
