import { defineCommand, flag, value } from "../command.js"
import { harnessWords, scopes } from "../harness/install-options.js"
import { choice, closeChoice } from "../input/values.js"

export const uninstall = defineCommand({
  args: {},
  options: {
    harness: value(
      "NAME",
      `the harness, or all (default): ${harnessWords.join(", ")}`,
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
  },
  takesUrl: false,
  examples: ["agentchat uninstall", "agentchat uninstall --dry-run", "agentchat uninstall --harness cursor"],
  notes: [
    "Removes what agentchat install added. A file that nobody else has changed since is byte for byte as it was before; in",
    "another one only our entries go. Files and directories that install created go if nothing else is in them.",
  ],
  async run(context, { options }) {
    const { runUninstall } = await import("../harness/install-run.js")
    const { harness, scope = "user" } = options
    return runUninstall(context, { harness, scope, isDryRun: options["dry-run"] })
  },
})
