/** The types of the five statements of a deal between two agents. */
export const verbs = ["PROPOSAL", "ACCEPT", "REJECT", "COMPLETE", "DISPUTE"] as const
/** One of {@link verbs}. */
export type Verb = (typeof verbs)[number]

/** The party a dispute blames, as seen by its author. */
export const faults = ["self", "other", "mutual"] as const
/** One of {@link faults}. */
export type Fault = (typeof faults)[number]

/** Reports whether `text` is one of {@link verbs}. */
export function isVerb(text: string): text is Verb {
  return (verbs as readonly string[]).includes(text)
}

/** Returns the id of the proposal that a statement makes or answers. */
export function proposalIdOf(
  statement:
    | { readonly type: "PROPOSAL"; readonly id: string }
    | { readonly type: Exclude<Verb, "PROPOSAL">; readonly proposal_id: string },
): string {
  return statement.type === "PROPOSAL" ? statement.id : statement.proposal_id
}
