/** The coding harnesses that agentchat joins, under the names of `--harness`. */
export const HARNESSES = [
  "claude",
  "codex",
  "opencode",
  "gemini",
  "antigravity",
  "cursor",
  "copilot",
  "amp",
  "goose",
  "kimi",
] as const

/** Name of a coding harness. */
export type Harness = (typeof HARNESSES)[number]
