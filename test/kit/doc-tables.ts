import { guardRules, numbersOf } from "../../src/cli/guards/guard-rules.js"
import { HARNESSES } from "../../src/harness/harness.js"
import { type FileRequest, placesOf } from "../../src/harness/install/spec.js"
import { harnessSpecs } from "../../src/harness/install/specs.js"
import { dealRules } from "../../src/proposals/deal.js"
import { clientMessages, outboxTypes } from "../../src/protocol/client-messages.js"
import { errorSpecs } from "../../src/protocol/errors.js"
import { closeCodes, defaultLimits } from "../../src/protocol/limits.js"
import { serverMessages } from "../../src/protocol/server-messages.js"

const exampleRequest: FileRequest = {
  places: placesOf({}, "~", "/project"),
  scope: "user",
  program: { node: "/usr/bin/node", script: "/agentchat.js", version: "0.0.0" },
  skill: "",
  claims: undefined,
}

/** The tables of the documents, generated from the code. Each is placed between `<!-- table:NAME -->` and `<!-- /table -->`. */
export const docTables: Record<string, () => string> = {
  "client-messages": () =>
    table(
      ["type", "fields", "answer", "what it does"],
      Object.entries(clientMessages).map(([type, row]) => [
        code(type),
        Object.entries<{ readonly isOptional: boolean }>(row.fields)
          .map(([name, { isOptional }]) => code(isOptional ? `${name}?` : name))
          .join(", ") || "–",
        "answer" in row
          ? [code(row.answer), ...("answerNote" in row ? [row.answerNote] : [])].join(", ")
          : "–",
        row.summary,
      ]),
    ),
  "server-messages": () =>
    table(
      ["type", "what it says"],
      Object.entries(serverMessages).map(([type, { summary }]) => [code(type), summary]),
    ),
  "outbox-types": () => outboxTypes.map(code).join(", "),
  "deal-rules": () =>
    table(
      ["state", "verb", "by", "leads to", "within"],
      [
        ...dealRules.map(({ state, verb, by, next, until }) => [
          code(state),
          code(verb),
          by,
          code(next),
          until === undefined ? "–" : code(until),
        ]),
        [code("pending"), "–", "the clock", code("expired"), `after ${code("expires")}`],
      ],
    ),
  errors: () =>
    table(
      ["code", "on the wire", "try again", "exit", "meaning"],
      Object.entries(errorSpecs).map(([name, { exit, retry, wire, summary }]) => [
        code(name),
        wire ? "yes" : "–",
        retry ? "yes" : "–",
        String(exit),
        summary,
      ]),
    ),
  limits: () =>
    table(
      ["limit", "default"],
      Object.entries(defaultLimits).map(([name, value]) => [code(name), String(value)]),
    ),
  guards: () =>
    table(
      ["guard", "what it counts", "lifted by", "what to do"],
      Object.entries(guardRules).map(([name, { counts, lift, act }]) => [code(name), counts, lift, act]),
    ),
  "guard-limits": () =>
    table(
      ["guard", "numbers"],
      Object.entries(guardRules)
        .filter(([, { numbers }]) => numbers.length > 0)
        .map(([name, layer]) => [code(name), numbersOf(layer)]),
    ),
  harnesses: () =>
    table(
      ["harness", "inject", "wake", "proof", "limits"],
      HARNESSES.map((name) => {
        const { title, facts } = harnessSpecs[name]
        return [`${title} (${code(name)})`, facts.inject, facts.wake, facts.proof, facts.limits]
      }),
    ),
  "harness-files": () =>
    table(
      ["harness", "files", "events", "with `--claims` also"],
      HARNESSES.map((name) => {
        const spec = harnessSpecs[name]
        const files = spec.files(exampleRequest).map(({ path }) => code(path))
        return [code(name), files.join(", "), spec.events.map(code).join(", "), code(spec.claimEvent)]
      }),
    ),
  "close-codes": () =>
    table(
      ["code", "name"],
      Object.entries(closeCodes).map(([name, value]) => [String(value), name]),
    ),
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n")
}

function code(text: string): string {
  return `\`${text}\``
}
