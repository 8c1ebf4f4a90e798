/** Purposes of a message, as its author states them. */
export const messageKinds = ["request", "inform", "ack", "auto", "status"] as const
/** One of {@link messageKinds}. */
export type Kind = (typeof messageKinds)[number]

const quietKinds: ReadonlySet<string> = new Set<Kind>(["ack", "auto", "status"])

/** Reports whether a message of this kind wakes nobody. `ack` and `auto` must not be answered automatically (RFC 3834). */
export function isQuiet(kind: string | undefined): boolean {
  return kind !== undefined && quietKinds.has(kind)
}
