export type InboxEvent = "hold" | "release" | "rotate" | "resume" | "fail" | "retry" | "close"

/**
 * The life of an inbox; a pair that is not listed is a bug.
 *
 *     writing    lines go to the file at once
 *     holding    lines wait in memory until readers have caught up
 *     rotating   the file's lines are being sealed; nothing may be appended
 *     failing    the file system refused; tried again once a second
 */
export const inboxSteps = {
  writing: { hold: "holding", rotate: "rotating", fail: "failing", close: "closed" },
  holding: { release: "writing", rotate: "rotating", fail: "failing", close: "closed" },
  rotating: { resume: "writing", fail: "failing" },
  failing: { retry: "writing", close: "closed" },
  closed: {},
} as const satisfies Record<string, Partial<Record<InboxEvent, string>>>

export type InboxState = keyof typeof inboxSteps

/** The state after `event`. */
export function stepInbox(state: InboxState, event: InboxEvent): InboxState {
  const steps: Partial<Record<InboxEvent, InboxState>> = inboxSteps[state]
  const next = steps[event]
  if (next === undefined) throw new Error(`inbox: ${event} while ${state}`)
  return next
}
