import { formatForTerminal } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import { defineCommand, flag, rest } from "../command.js"
import { reportSuccess } from "../exit-status.js"
import { chooseRepository, pathsIn, repoOption } from "../input/claim-paths.js"
import { someText } from "../input/values.js"
import { daemonOptions, daemonRequest } from "../relay/relay-request.js"

export const release = defineCommand({
  args: { path: rest("paths as you claimed them", someText) },
  options: { all: flag("all your claims, in every repository"), repo: repoOption, ...daemonOptions },
  takesUrl: false,
  examples: ["agentchat release src/a.ts", "agentchat release --all"],
  notes: ["Ends only your own claims. Exit 3 if you have claimed none of the paths."],
  async run(context, { args, options }) {
    const { all, repo } = options
    if (all === args.path.length > 0) throw new ChatError("USAGE", "release: name either paths or --all")
    const repository = chooseRepository(context, repo)
    const one = { repo: repository.name, paths: pathsIn(context, repository, args.path) }
    const some = all ? (repo === undefined ? {} : { repo: repository.name }) : one
    const answer = await daemonRequest(context, options, { type: "RELEASE_PATHS", ...some })
    const released = answer["released"] as readonly string[]
    if (released.length === 0 && !all) {
      throw new ChatError("NOT_FOUND", "release: you have claimed none of these paths", {
        hint: "see: agentchat claims --all",
      })
    }
    const lines = released.map((path) => `released ${formatForTerminal(path)}`)
    return reportSuccess(context, { released }, lines.length === 0 ? "you had no claims" : lines)
  },
})
