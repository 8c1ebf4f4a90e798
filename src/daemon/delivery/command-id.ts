/** Begins the id of a line that a command wrote: it reads its answer in acks.jsonl, so the agent need not. */
export const commandIdPrefix = "cli-"
