/** Why a message is written, as its author says. */
export const messageKinds = ["request", "inform", "ack", "auto", "status"] as const
/** One of {@link messageKinds}. */
export type Kind = (typeof messageKinds)[number]

const quietKinds: ReadonlySet<string> = new Set<Kind>(["ack", "auto", "status"])

/** Whether a message of this kind wakes nobody; `ack` and `auto` are never to be answered automatically (RFC 3834). */
export function isQuiet(kind: string | undefined): boolean {
  return kind !== undefined && quietKinds.has(kind)
}
