import { existsSync, readFileSync, renameSync, rmSync } from "node:fs"
import { isPlain } from "../../base/plain.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { readStateFile } from "../../daemon/files/state-file.js"
import { appendDead, type DeadLetter, postLine, webhookSecret } from "../../daemon/hooks/webhook.js"
import { ChatError } from "../../protocol/errors.js"
import { defineCommand, optional } from "../command.js"
import type { Context } from "../context.js"
import { daemonName, startedInstance } from "../daemon/daemon-choice.js"
import { reportSuccess } from "../exit-status.js"
import { closeChoice } from "../input/values.js"

const verbs = ["redeliver"] as const

export const webhooks = defineCommand({
  args: { verb: optional("redeliver (default: show)", closeChoice(verbs), verbs) },
  options: { name: daemonName },
  takesUrl: false,
  examples: ["agentchat webhooks", "agentchat webhooks redeliver"],
  notes: ["A line that the receiver of daemon --webhook did not take for a day is kept. See doc/hooks.md."],
  async run(context, { args, options }) {
    const paths = startedInstance(context, options.name)
    const { url } = readStateFile(paths.webhook)
    if (typeof url !== "string") {
      throw new ChatError("NOT_FOUND", `daemon ${paths.name} has no webhook`, {
        hint: "start it with one: agentchat daemon --background --webhook URL",
      })
    }
    if (args.verb === "redeliver") return redeliver(context, paths, url)
    const count = readLetters(paths.webhookDead).length
    const facts = { host: new URL(url).host, dead: count, secret: paths.webhookSecret }
    return reportSuccess(context, facts, [
      `receiver: ${facts.host}; its secret is in ${facts.secret}`,
      `${count} lines were not taken${count === 0 ? "" : "; again: agentchat webhooks redeliver"}`,
    ])
  },
})

/** Sends every dead letter once; those that are not taken stay. The daemon may add others meanwhile. */
async function redeliver(context: Context, paths: DaemonPaths, url: string): Promise<number> {
  const { clock } = context
  const taken = `${paths.webhookDead}.taken`
  // One that is there was left by a command that was killed.
  if (!existsSync(taken) && existsSync(paths.webhookDead)) renameSync(paths.webhookDead, taken)
  const webhook = { url, secret: webhookSecret(paths.webhookSecret), clock }
  let [delivered, kept] = [0, 0]
  for (const letter of readLetters(taken)) {
    const problem = await postLine(webhook, { seq: letter.seq, text: letter.line })
    if (problem === undefined) delivered++
    else {
      appendDead(paths.webhookDead, { ...letter, error: problem, ts: clock.now() })
      kept++
    }
  }
  rmSync(taken, { force: true })
  if (kept > 0) throw new ChatError("UNREACHABLE", `${delivered} lines were taken, ${kept} were not`)
  return reportSuccess(context, { delivered, kept }, `${delivered} lines were taken`)
}

function readLetters(path: string): DeadLetter[] {
  const text = existsSync(path) ? readFileSync(path, "utf8") : ""
  return text.split("\n").flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line)
      return isPlain(value) && typeof value["line"] === "string" ? (value as unknown as DeadLetter) : []
    } catch {
      return []
    }
  })
}
