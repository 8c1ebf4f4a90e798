import fc from "fast-check"
import { stringify as stringifyToml } from "smol-toml"
import { describe, expect, it } from "vitest"
import { stringify as stringifyYaml } from "yaml"
import type { Addition } from "../../../src/harness/config/additions.js"
import { addEntries, type ConfigFile, removeEntries } from "../../../src/harness/config/config-edit.js"
import { jsonFormat } from "../../../src/harness/config/json-format.js"
import { tomlFormat } from "../../../src/harness/config/toml-format.js"
import { yamlFormat } from "../../../src/harness/config/yaml-format.js"

const line = (event: string) => `/usr/bin/node /opt/agentchat.js hook ${event} --harness gemini`
const group = (event: string) => ({ hooks: [{ type: "command", command: line(event), timeout: 10 }] })
const server = { command: "/usr/bin/node", args: ["/opt/agentchat.js", "mcp"] }
const hooks: readonly Addition[] = ["Stop", "Start"].map((event) => {
  return { kind: "item", path: ["hooks", event], value: group(event) }
})

const jsonFile: ConfigFile = {
  ...{ kind: "config", path: "x.json", format: "json" },
  additions: [
    { kind: "member", path: ["version"], value: 1, isFrame: true },
    ...hooks,
    { kind: "member", path: ["mcpServers", "agentchat"], value: server },
  ],
}
const tomlFile: ConfigFile = {
  ...{ kind: "config", path: "x.toml", format: "toml" },
  additions: [
    { kind: "member", path: ["mcp_servers", "agentchat"], value: server },
    { kind: "item", path: ["hooks"], value: { event: "Stop", command: line("Stop"), timeout: 10 } },
  ],
}
const yamlFile: ConfigFile = {
  ...{ kind: "config", path: "x.yaml", format: "yaml" },
  additions: [{ kind: "member", path: ["extensions", "agentchat"], value: { type: "stdio", ...server } }],
}

/** Adds, and takes back. */
function roundTrip(file: ConfigFile, text: string) {
  const added = addEntries("gemini", file, text, undefined)
  const after = added?.text ?? text
  return { after, record: added?.record, left: removeEntries("gemini", file, after, added?.record) }
}

// Layouts of JSON that people and programs write.
interface Layout {
  readonly gaps: readonly string[]
  readonly eol: string
  readonly trailing: boolean
}
const blank = fc.constantFrom(
  "",
  " ",
  "\n",
  "\n  ",
  "\n\t",
  "\n\n    ",
  " /* c */ ",
  " // c\n  ",
  '\n// "x": {\n',
)
const layouts: fc.Arbitrary<Layout> = fc.record({
  gaps: fc.array(blank, { minLength: 3, maxLength: 12 }),
  eol: fc.constantFrom("\n", "\r\n"),
  trailing: fc.boolean(),
})
const leaf = fc.oneof(
  fc.constantFrom(0, -1.5, true, null, "", "é", 'a"b', "// no", "}"),
  fc.string({ maxLength: 6 }),
)
const name = fc.oneof(
  fc.constantFrom("a", "hooks2", "stop", "$schema", "x y"),
  fc.string({ minLength: 1, maxLength: 5 }),
)
const anyValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    leaf,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(name, tie("value"), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value
const userHooks = fc.dictionary(
  fc.constantFrom("Stop", "Other"),
  fc.array(
    fc.constantFrom<unknown>(
      { hooks: [{ type: "command", command: "say hi" }] },
      { matcher: "x", hooks: [] },
    ),
    { maxLength: 2 },
  ),
  { noNullPrototype: true },
)
const documents = fc
  .tuple(
    fc.dictionary(name, anyValue, { maxKeys: 4, noNullPrototype: true }),
    fc.option(userHooks, { nil: undefined }),
    fc.option(
      fc.dictionary(fc.constantFrom("docs", "x"), fc.constant({ command: "x" }), { noNullPrototype: true }),
      { nil: undefined },
    ),
    fc.boolean(),
  )
  .map(([rest, hooks, mcpServers, hasVersion]) => ({
    ...Object.fromEntries(
      Object.entries(rest).filter(([key]) => !["hooks", "mcpServers", "version", "__proto__"].includes(key)),
    ),
    ...(hooks === undefined ? {} : { hooks }),
    ...(mcpServers === undefined ? {} : { mcpServers }),
    ...(hasVersion ? { version: 1 } : {}),
  }))

/** Writes a value with white space and comments between its tokens. */
function layOut(value: unknown, { gaps, eol, trailing }: Layout): string {
  let next = 0
  const gap = () => gaps[next++ % gaps.length] ?? ""
  const list = (open: string, parts: readonly string[], close: string) => {
    const body = parts.map((part) => gap() + part + gap()).join(",")
    return open + body + (trailing && parts.length > 0 ? `,${gap()}` : gap()) + close
  }
  const write = (one: unknown): string => {
    if (Array.isArray(one)) return list("[", one.map(write), "]")
    if (typeof one !== "object" || one === null) return JSON.stringify(one)
    return list(
      "{",
      Object.entries(one).map(([key, member]) => `${JSON.stringify(key)}${gap()}:${gap()}${write(member)}`),
      "}",
    )
  }
  return (gap() + write(value) + gap()).replaceAll("\n", eol)
}

describe("entries of a JSON file", () => {
  it("leave the file byte for byte as it was, whatever its layout", () => {
    fc.assert(
      fc.property(documents, layouts, fc.constantFrom("", "\uFEFF"), (value, layout, mark) => {
        const text = mark + layOut(value, layout)
        const { after, left } = roundTrip(jsonFile, text)
        expect(addEntries("gemini", jsonFile, after, undefined)).toBeUndefined()
        expect(left?.text).toBe(text)
      }),
      { numRuns: 80 },
    )
  })

  it("change nothing else, and no line that is there if members have lines of their own", () => {
    fc.assert(
      fc.property(documents, fc.constantFrom(2, 4, "\t"), (value, indent) => {
        const hooks = Object.fromEntries(
          Object.entries(value.hooks ?? {}).filter(([, list]) => list.length > 0),
        )
        const filled = {
          a: 1,
          ...value,
          hooks: { Other: [1], ...hooks },
          mcpServers: { x: {}, ...value.mcpServers },
        }
        const text = `${JSON.stringify(filled, null, indent)}\n`
        const { after } = roundTrip(jsonFile, text)
        const rest = after.split("\n")
        for (const one of text.split("\n")) {
          const at = rest.indexOf(one)
          expect(at, one).toBeGreaterThanOrEqual(0)
          rest.splice(0, at + 1)
        }
      }),
      { numRuns: 25 },
    )
  })

  it("go also when somebody wrote the file anew, and nothing else goes", () => {
    fc.assert(
      fc.property(documents, layouts, layouts, fc.boolean(), (value, layout, other, hasRecord) => {
        const text = layOut(value, layout)
        const { after, record } = roundTrip(jsonFile, text)
        const anew = layOut(jsonFormat.parse(after), other)
        const left = removeEntries("gemini", jsonFile, anew, hasRecord ? record : undefined)
        const now = jsonFormat.parse(left?.text ?? "") as Record<string, unknown>
        expect(JSON.stringify(now)).not.toContain("agentchat")
        const { hooks = {}, mcpServers = {}, version: _, ...rest } = now
        const { hooks: before = {}, mcpServers: servers = {}, version: __, ...others } = value
        expect(rest).toEqual(others)
        const filled = (lists: object) =>
          Object.fromEntries(
            Object.entries(lists).filter(([, list]) => Array.isArray(list) && list.length > 0),
          )
        expect(filled(hooks as object)).toEqual(filled(before))
        expect(mcpServers).toEqual(servers)
        if (hasRecord && "version" in value) expect(now["version"]).toBe(1)
      }),
      { numRuns: 60 },
    )
  })

  it("go from a file in which somebody changed another place", () => {
    fc.assert(
      fc.property(documents, layouts, (value, layout) => {
        const text = layOut({ ...value, mine: "before" }, layout)
        const { after, record } = roundTrip(jsonFile, text)
        const changed = after.replace('"before"', '"after"')
        expect(removeEntries("gemini", jsonFile, changed, record)?.text).toBe(
          text.replace('"before"', '"after"'),
        )
      }),
      { numRuns: 40 },
    )
  })

  it.each([
    ["{}", "no member"],
    ["{\n}\n", "no member, on two lines"],
    ["{ // c\n}\n", "only a comment"],
    ['{"a":1}', "one line"],
    ['{"a":1,}', "a trailing comma"],
    ['{ "a": 1 // c\n}', "a comment after the last member"],
    ['{ "hooks": { /* c */ } }', "an empty object with a comment"],
    ['{\n  "hooks": {\n    "Stop": [\n      {} // c\n    ]\n  }\n}', "a comment after the last item"],
    ["", "nothing"],
    [" \n", "white space"],
    ['{"hooks":{"Stop":[]}}', "an empty list"],
  ])("fit into %j: %s", (text) => {
    const { after, left } = roundTrip(jsonFile, text)
    expect(jsonFormat.parse(after)).toMatchObject({
      hooks: { Start: [group("Start")] },
      mcpServers: { agentchat: server },
    })
    expect(left?.text).toBe(text)
  })
})

describe("entries of a TOML file", () => {
  const tables = fc.record(
    {
      model: fc.constantFrom("gpt", 'a"b', "[x]", "# no", "multi\nline\n[mcp_servers.agentchat]\n"),
      list: fc.constantFrom([1, 2], [[1], [2]], []),
      big: fc.constantFrom(1n, 9_007_199_254_740_993n),
      projects: fc.dictionary(fc.constantFrom("/x", "a.b", "é"), fc.constant({ trust_level: "trusted" }), {
        noNullPrototype: true,
      }),
      mcp_servers: fc.dictionary(
        fc.constantFrom("docs", "z"),
        fc.constant({ command: "x", env: { A: "b" } }),
        { noNullPrototype: true },
      ),
      hooks: fc.array(fc.constant({ event: "Stop", command: "say hi" }), { minLength: 1, maxLength: 2 }),
    },
    { requiredKeys: [] },
  )
  const ends = fc.constantFrom("", "\n", "\n\n", "\n# end", "\n# end\n")

  it("leave the file byte for byte as it was", () => {
    fc.assert(
      fc.property(tables, ends, fc.constantFrom("\n", "\r\n"), (value, end, eol) => {
        const text = (stringifyToml(value).trimEnd() + end).replaceAll("\n", eol)
        const { after, left } = roundTrip(tomlFile, text)
        expect(after.startsWith(text)).toBe(true)
        expect(addEntries("gemini", tomlFile, after, undefined)).toBeUndefined()
        expect(left?.text).toBe(text)
      }),
      { numRuns: 40 },
    )
  })

  it("go also without a record, with tables before and after them", () => {
    fc.assert(
      fc.property(tables, ends, (value, end) => {
        const text = stringifyToml(value).trimEnd() + end
        const { after } = roundTrip(tomlFile, text)
        const longer = `${after}\n# mine\n[zz]\na = 1\n[[hooks]]\nevent = "Start"\ncommand = "say"\n`
        const left = tomlFormat.parse(removeEntries("gemini", tomlFile, longer, undefined)?.text ?? "")
        const expected = tomlFormat.parse(
          stringifyToml({
            ...value,
            zz: { a: 1 },
            hooks: [...(value.hooks ?? []), { event: "Start", command: "say" }],
          }),
        )
        expect(left).toEqual(expected)
      }),
      { numRuns: 25 },
    )
  })

  it("go without a record, and comments of others around them stay", () => {
    const before = 'a = 1 # one\n\n# about docs\n[mcp_servers.docs]\ncommand = "docs"\n'
    const after = `${roundTrip(tomlFile, before).after}\n# about zz\n[zz]\nb = 2\n`
    const left = removeEntries("gemini", tomlFile, after, undefined)?.text
    expect(left?.replaceAll(/\n+/g, "\n")).toBe(
      `${before}\n# about zz\n[zz]\nb = 2\n`.replaceAll(/\n+/g, "\n"),
    )
  })

  it.each([
    ['mcp_servers = { docs = { command = "x" } }\n', "an inline table"],
    ["hooks = []\n", "an inline list"],
  ])("are refused next to %j: %s", (text) => {
    expect(() => addEntries("gemini", tomlFile, text, undefined)).toThrow(
      /not valid TOML|form that cannot be added/,
    )
  })
})

describe("entries of a YAML file", () => {
  const settings = fc.record(
    {
      GOOSE_MODEL: fc.constantFrom("x", "a: b", "# no", "multi\nline\n", 5, null),
      extensions: fc.dictionary(
        fc.constantFrom("dev", "x-y"),
        fc.constantFrom<unknown>({ enabled: true, args: ["a", "b"] }, { env: {} }),
        { noNullPrototype: true },
      ),
      other: fc.constantFrom<unknown>([1, { a: 2 }], "last"),
    },
    { requiredKeys: [] },
  )

  it("leave the file byte for byte as it was", () => {
    fc.assert(
      fc.property(
        settings,
        fc.constantFrom("", "\n", "\n\n# end\n", "\n  # end"),
        fc.constantFrom("", "# top\n", "---\n"),
        fc.constantFrom("\n", "\r\n"),
        fc.constantFrom(2, 4),
        (value, end, start, eol, indent) => {
          const body = Object.keys(value).length === 0 ? "" : stringifyYaml(value, { indent }).trimEnd()
          const text = (start + body + end).replaceAll("\n", eol)
          const { after, left } = roundTrip(yamlFile, text)
          expect(yamlFormat.parse(after)).toMatchObject({ extensions: { agentchat: { type: "stdio" } } })
          expect(addEntries("gemini", yamlFile, after, undefined)).toBeUndefined()
          expect(left?.text).toBe(text)
        },
      ),
      { numRuns: 40 },
    )
  })

  it("go also from a file that was written anew", () => {
    fc.assert(
      fc.property(settings, fc.boolean(), (value, isFlow) => {
        const { after } = roundTrip(yamlFile, Object.keys(value).length === 0 ? "" : stringifyYaml(value))
        const anew = stringifyYaml(
          yamlFormat.parse(after),
          isFlow ? { collectionStyle: "flow" } : { indent: 4 },
        )
        const left = yamlFormat.parse(removeEntries("gemini", yamlFile, anew, undefined)?.text ?? "")
        const { extensions, ...rest } = (left ?? {}) as { extensions?: object }
        const { extensions: before, ...others } = value
        expect(rest).toEqual(others)
        expect(extensions ?? {}).toEqual(before ?? {})
      }),
      { numRuns: 25 },
    )
  })

  it.each([
    ["extensions:\n", "an empty value"],
    ["extensions: # none yet\nother: 1\n", "an empty value with a comment"],
    ["extensions: {}\n", "an empty flow map"],
    ["extensions: { dev: { enabled: true } }\n", "a flow map"],
    ["{a: 1}\n", "a document in flow style"],
    ["# only a comment\n", "a comment"],
    [
      "extensions:\n  a: |\n    text\n\n  # about b\n  b: {}\n  # nothing more\n# other\nc: 1\n",
      "comments and a text block",
    ],
  ])("fit into %j: %s", (text) => {
    const { after, left } = roundTrip(yamlFile, text)
    expect(yamlFormat.parse(after)).toMatchObject({ extensions: { agentchat: server } })
    expect(left?.text).toBe(text)
  })
})
