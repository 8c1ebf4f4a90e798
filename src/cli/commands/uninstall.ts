import { defineCommand } from "../command.js"
import { harnessOptions } from "../harness/install-options.js"

export const uninstall = defineCommand({
  args: {},
  options: harnessOptions("all"),
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
