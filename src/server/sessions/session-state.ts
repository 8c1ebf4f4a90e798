/** Where a connection stands. `ready`: it said, or proved, who it is. `closing`: our close frame is out. */
export type SessionState = "connecting" | "challenged" | "ready" | "closing" | "gone"

/** What may happen to a connection. */
export type SessionEvent = "challenge" | "admit" | "close" | "end"

/** Every legal step of a connection's life; a pair that is not listed is refused. */
export const sessionSteps = {
  connecting: { challenge: "challenged", admit: "ready", close: "closing", end: "gone" },
  challenged: { admit: "ready", close: "closing", end: "gone" },
  ready: { close: "closing", end: "gone" },
  closing: { end: "gone" },
  gone: {},
} as const satisfies Record<SessionState, Partial<Record<SessionEvent, SessionState>>>

/** The state after `event`, or `undefined` when that must not happen in `state`. */
export function nextSessionState(state: SessionState, event: SessionEvent): SessionState | undefined {
  const steps: Partial<Record<SessionEvent, SessionState>> = sessionSteps[state]
  return steps[event]
}
