/** The part of coding harnesses that a daemon needs to wake their sessions; `src/harness/wake` implements it. */

/** One way to reach a session. */
export interface WakeDoor {
  /** In the form of {@link wakeMethod}. */
  readonly method: string
  /** True if the harness itself keeps a ring until a running tool call has ended. */
  readonly queues: boolean
  /** True while it takes no ring, and will again soon. */
  readonly isClosed?: boolean
  /**
   * Hands the text to the session. That it was accepted proves nothing: only the echo does.
   * @throws {ChatError} why the session cannot be reached this way
   */
  ring(text: string): Promise<void>
}

/** The session of an agent, and the ways to reach it. */
export interface SessionDoors {
  /** Changes when another session takes its place, and with each event of it. */
  readonly state: string
  /** True while it works on something. */
  readonly isBusy: boolean
  /** The strongest first. */
  readonly doors: readonly WakeDoor[]
}

/** Returns the newest session of the daemon that has not ended; undefined if there is none. @throws {ChatError} FILE_FAILED */
export type FindSession = () => Promise<SessionDoors | undefined>
