import { omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { ClaimEntry } from "../../protocol/claims.js"
import { ChatError } from "../../protocol/errors.js"
import { defineCommand, rest, value } from "../command.js"
import { reportSuccess } from "../exit-status.js"
import { chooseRepository, pathsIn, repoOption } from "../input/claim-paths.js"
import { duration, someText, textUpTo } from "../input/values.js"
import { formatIsoTime } from "../output/time.js"
import { daemonOptions, daemonRequest } from "../relay/relay-request.js"

export const claim = defineCommand({
  args: { path: rest("files, directories or globs such as 'src/**/*.ts'", someText) },
  options: {
    for: value("TIME", "how long, such as 30m or 2h (default 30m, at most 24h)", duration),
    note: value("TEXT", "what you do there, up to 200 characters", textUpTo(200)),
    repo: repoOption,
    ...daemonOptions,
  },
  takesUrl: false,
  examples: [
    "agentchat claim src/a.ts src/b.ts --note 'renaming the parser'",
    "agentchat claim docs/ --for 2h",
    "agentchat claim 'src/**/*.ts' --repo github.com/acme/shop",
  ],
  notes: [
    "All paths or none: if another agent has one of them, prints who, why and until when, and exits with 1. A claim",
    "ends with its time, with release, or when you have been offline for 5 minutes. It is signed, and binds nobody:",
    "others see it in claims and agents. Claim again to go on.",
  ],
  async run(context, { args, options }) {
    const { for: forMs, note, repo } = options
    if (args.path.length === 0) throw new ChatError("USAGE", "claim: PATH is missing")
    const seconds = forMs === undefined ? undefined : Math.ceil(forMs / 1_000)
    if (seconds !== undefined && (seconds < 1 || seconds > 86_400)) {
      throw new ChatError("USAGE", "--for: must be from 1s to 24h")
    }
    const repository = chooseRepository(context, repo)
    const answer = await daemonRequest(context, options, {
      type: "CLAIM_PATHS",
      repo: repository.name,
      paths: pathsIn(context, repository, args.path),
      ...omitUndefined({ note: note === "" ? undefined : note, seconds }),
    })
    const [made] = answer["list"] as readonly ClaimEntry[]
    if (made === undefined) throw new ChatError("UNSUPPORTED", "claim: the relay answered with no claim")
    const { repo: name, paths, expires_ts } = made
    const document = { repo: name, paths, ...omitUndefined({ note: made.note }), expires_ts }
    const end = formatIsoTime(expires_ts)
    const lines = paths.map((path) => `claimed ${formatForTerminal(path)} until ${end}`)
    return reportSuccess(context, document, lines)
  },
})
