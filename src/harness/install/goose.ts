import { join } from "node:path"
import { groupedHooks, type HarnessSpec, hookTimeoutS, jsonFile, member, skillFile } from "./spec.js"

export const goose: HarnessSpec = {
  name: "goose",
  title: "Goose",
  programs: ["goose"],
  folders: ({ config }) => [join(config, "goose")],
  events: ["SessionStart", "UserPromptSubmit", "Stop", "SessionEnd"],
  claimEvent: "PreToolUse",
  files(request) {
    const { places, scope, program } = request
    const plugin = join(scope === "user" ? places.home : places.project, ".agents", "plugins", "agentchat")
    const description = "Messages between coding agents."
    const extension = {
      ...{
        name: "agentchat",
        type: "stdio",
        enabled: true,
        cmd: program.node,
        args: [program.script, "mcp"],
      },
      timeout: 300,
    }
    return [
      jsonFile(join(plugin, "plugin.json"), { name: "agentchat", version: program.version, description }),
      {
        ...{ kind: "config", format: "json", path: join(plugin, "hooks", "hooks.json") },
        // Its matchers are regular expressions, in which "*" is an error; none matches everything.
        ...groupedHooks(this, request, { timeout: () => hookTimeoutS }),
      },
      skillFile(join(plugin, "skills"), request),
      ...(scope === "project"
        ? []
        : [
            {
              ...({ kind: "config", format: "yaml" } as const),
              path: join(places.config, "goose", "config.yaml"),
              additions: [member(["extensions", "agentchat"], extension)],
            },
          ]),
    ]
  },
  facts: {
    inject: "end of turn",
    wake: "none",
    proof: "the next hook shows the lines",
    limits: "needs 1.38; nothing reaches the context at a prompt; in project scope there is no MCP server",
  },
}
