import { HARNESSES } from "../../harness/harness.js"
import { flag, value } from "../command.js"
import { choice, closeChoice } from "../input/values.js"

/** The words of `--harness`, `--scope` and `--claims`. */
const harnessWords = [...HARNESSES, "all"] as const
const scopes = ["user", "project"] as const
export const claimModes = ["warn", "block"] as const

/** Options of install and uninstall. @param all - what `--harness all` means, in their help */
export function harnessOptions(all: string) {
  return {
    harness: value(
      "NAME",
      `the harness, or ${all} (default): ${harnessWords.join(", ")}`,
      closeChoice(harnessWords),
      harnessWords,
    ),
    scope: value(
      "user|project",
      "your home directory (default), or the working directory",
      choice(scopes),
      scopes,
    ),
    "dry-run": flag("show what would change, as a diff, and change nothing"),
  }
}
