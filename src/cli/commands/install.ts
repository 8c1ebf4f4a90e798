import { defineCommand, value } from "../command.js"
import { claimModes, harnessOptions } from "../harness/install-options.js"
import { choice } from "../input/values.js"

export const install = defineCommand({
  args: {},
  options: {
    ...harnessOptions("all that are here"),
    claims: value(
      "warn|block",
      "before an edit of a path that another agent has claimed: warn the model, or deny the edit",
      choice(claimModes),
      claimModes,
    ),
  },
  takesUrl: false,
  examples: [
    "agentchat install",
    "agentchat install --dry-run",
    "agentchat install --harness claude --claims warn",
    "agentchat install --scope project",
  ],
  notes: [
    "Adds a skill, an MCP server and hooks to the coding harnesses that are here, each in its own files, and touches nothing",
    "else in them. A second run has nothing to do. A file that cannot be parsed is left alone and named; exit 1 then.",
    "agentchat uninstall puts the files back; agentchat doctor shows whether the hooks run. The files hold absolute paths",
    "of this machine, also those of a project.",
  ],
  async run(context, { options }) {
    const { runInstall } = await import("../harness/install-run.js")
    const { harness, scope = "user", claims } = options
    return runInstall(context, { harness, scope, claims, isDryRun: options["dry-run"] })
  },
})
