import { HARNESSES } from "../../harness/harness.js"

/** The words of `--harness`, `--scope` and `--claims`. */
export const harnessWords = [...HARNESSES, "all"] as const
export const scopes = ["user", "project"] as const
export const claimModes = ["warn", "block"] as const
