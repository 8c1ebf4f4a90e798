import { randomUUID } from "node:crypto"
import { omitUndefined } from "../../base/plain.js"
import { signGrant } from "../../grants/sign.js"
import { formatDidKey, parsePublicKey } from "../../identity/keys.js"
import { createSecretFile } from "../../identity/secret-file.js"
import { ChatError } from "../../protocol/errors.js"
import { maxUses, type Profile, profiles } from "../../protocol/grants.js"
import { defineCommand, list, required, value } from "../command.js"
import { reportSuccess } from "../exit-status.js"
import { choice, duration, nick, role, someText, subscription, wholeNumber } from "../input/values.js"
import { asOperator } from "../relay/moderate.js"
import { requestOptions } from "../relay/relay-request.js"

const profileNames = Object.keys(profiles) as Profile[]

export const mint = defineCommand({
  args: { grantee: required("name of the agent or team, for people", nick) },
  options: {
    profile: value("WHAT", `${profileNames.join(", ")} (default agent)`, choice(profileNames), profileNames),
    read: list(
      "PATTERN",
      "channels it may read, such as '#team.>' (default all; a guest: #general)",
      subscription,
    ),
    write: list("PATTERN", "channels it may write to (default those it reads)", subscription),
    role: list("ROLE", "roles it may serve (default any)", role),
    expires: value("TIME", "when it ends, such as 7d (default never)", duration),
    uses: value("N", "agents that may use it (default 1)", wholeNumber(1, maxUses)),
    key: value("DID", "the only key that may use it", someText),
    out: value("FILE", "write it there instead of printing it", someText, "file"),
    ...requestOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat mint bob --expires 7d --out bob.grant.json --identity operator.json",
    "agentchat mint team --read '#team.>' --uses 5 --identity operator.json",
    "agentchat mint board --profile observer --identity operator.json",
  ],
  notes: [
    "Makes a grant for a closed relay (serve --closed), signed by you, an operator. Without --key whoever shows it first",
    "uses it: send it in private. The agent adds it with: agentchat grants add FILE",
  ],
  run(context, input) {
    const { grantee: name } = input.args
    const { profile = "agent", read, write, role: roles, expires, uses, key, out } = input.options
    if (key !== undefined && uses !== undefined) throw new ChatError("USAGE", "--uses: not with --key")
    const to = key === undefined ? undefined : readKey(key)
    return asOperator(context, input, ({ keyPair, serverId: aud }) => {
      const ts = context.clock.now()
      const readable = read ?? [profile === "guest" ? "#general" : "#>"]
      const exp = expires === undefined ? undefined : ts + expires
      const rights = {
        read: readable,
        write: profiles[profile].writes ? (write ?? readable) : [],
        roles: profiles[profile].works ? (roles ?? ["*"]) : [],
      }
      const facts = {
        id: randomUUID(),
        aud,
        name,
        profile,
        ...rights,
        ts,
        ...omitUndefined({ to, uses, exp }),
      }
      const grant = signGrant(facts as Parameters<typeof signGrant>[0], keyPair)
      const text = JSON.stringify(grant)
      if (out === undefined) context.io.out(text)
      else createSecretFile(out, `${text}\n`)
      return out === undefined ? 0 : reportSuccess(context, { file: out, id: grant.id }, `wrote ${out}`)
    })
  },
})

function readKey(text: string): string {
  try {
    return formatDidKey(parsePublicKey(text))
  } catch (error) {
    if (!(error instanceof ChatError)) throw error
    throw new ChatError("USAGE", "--key: must be a did:key, as agentchat identity --show prints it", {
      cause: error,
    })
  }
}
