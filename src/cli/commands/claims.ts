import { formatForTerminal } from "../../base/visible-text.js"
import { type ClaimEntry, claimedPaths } from "../../protocol/claims.js"
import { defineCommand, flag } from "../command.js"
import { reportSuccess } from "../exit-status.js"
import { chooseRepository, repoOption } from "../input/claim-paths.js"
import { printTable } from "../output/table.js"
import { formatTime } from "../output/time.js"
import { daemonOptions, daemonRequest } from "../relay/relay-request.js"

export const claims = defineCommand({
  args: {},
  options: { all: flag("of all repositories"), repo: repoOption, ...daemonOptions },
  takesUrl: false,
  examples: ["agentchat claims", "agentchat claims --all --json"],
  notes: [
    "Lists the claims of the repository here, or of all. Other programs read them in the daemon's claims.json.",
  ],
  async run(context, { options }) {
    const { all, repo } = options
    const name = all ? undefined : chooseRepository(context, repo).name
    const some = name === undefined ? {} : { repo: name }
    const answer = await daemonRequest(context, options, { type: "LIST_CLAIMS", ...some })
    const list = answer["list"] as readonly ClaimEntry[]
    if (context.config.json) return reportSuccess(context, { list }, [])
    const now = context.clock.now()
    const rows = list.flatMap((claim) =>
      claimedPaths(claim).map((path) =>
        [path, claim.owner, claim.name, formatTime(claim.expires_ts, now), claim.repo, claim.note ?? ""].map(
          formatForTerminal,
        ),
      ),
    )
    const headings = ["PATH", "AGENT", "NAME", "UNTIL", { optional: "REPOSITORY" }, { text: "NOTE" }]
    printTable(context.io, headings, rows)
    const where =
      name === undefined ? "" : ` in ${formatForTerminal(name)}; of all repositories: agentchat claims --all`
    if (rows.length === 0) context.io.note(`nothing is claimed${where}`)
    return 0
  },
})
