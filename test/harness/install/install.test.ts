import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { parse } from "smol-toml"
import { describe, expect, it } from "vitest"
import { parse as parseYaml } from "yaml"
import { HARNESSES } from "../../../src/harness/harness.js"
import { HarnessHome } from "../../kit/harness-home.js"

/** Settings as users of eight harnesses have them. */
function furnished(): HarnessHome {
  const home = new HarnessHome()
  home.write(".claude/settings.json", '{\n  "model": "opus",\n  "hooks": {}\n}\n')
  home.write(
    ".codex/config.toml",
    '# mine\nmodel = "gpt-6"   # best\n\n[projects."/x"]\ntrust_level = "trusted"\n\n[mcp_servers.docs]\ncommand = "docs"\n',
  )
  home.write(
    ".codex/hooks.json",
    '{\n  "hooks": {\n    "Stop": [\n      { "hooks": [{ "type": "command", "command": "say done" }] }\n    ]\n  }\n}\n',
  )
  home.write(
    ".gemini/settings.json",
    '{\r\n\t// colors\r\n\t"theme": "dark",\r\n\t"hooks": {\r\n\t\t"AfterTool": [\r\n\t\t\t{ "matcher": "x", "hooks": [] }, // mine\r\n\t\t],\r\n\t},\r\n}',
  )
  home.write(
    ".cursor/hooks.json",
    '{\n  "version": 1,\n  "hooks": {\n    "stop": [\n      { "command": "but hook" }\n    ]\n  }\n}\n',
  )
  home.write(
    ".cursor/mcp.json",
    '{\n  "mcpServers": {\n    "a": { "command": "x", "env": { "API_KEY": "s3cret" } }\n  }\n}\n',
  )
  home.write(
    ".copilot/mcp-config.json",
    '\uFEFF{\n    "mcpServers": {\n        "a": { "command": "x" }\n    }\n}\n',
  )
  home.write(
    ".config/opencode/opencode.jsonc",
    '{\n  // models\n  "model": "x", /* y */\n  "mcp": {\n    "z": { "type": "local" }\n  }\n}\n',
  )
  home.write(".config/amp/settings.json", '{\n  "amp.url": "https://ampcode.com/"\n}\n')
  home.write(
    ".config/goose/config.yaml",
    'GOOSE_MODEL: x # best\nextensions:\n  dev:\n    enabled: true\n    env: {A: "b"}\n\n# the end\nother: 1\n',
  )
  home.write(".kimi-code/config.toml", '[[hooks]]\nevent = "Stop"\ncommand = "say done"\n')
  home.write(".gemini/config/mcp_config.json", "")
  return home
}

describe("agentchat install", () => {
  it("shows only additions with --dry-run, and writes nothing", async () => {
    const home = furnished()
    const before = home.tree()
    const out = await home.must("install", "--dry-run")
    const lines = out.split("\n")
    expect(lines.filter((line) => line.startsWith("-") && !line.startsWith("---"))).toEqual([])
    expect(lines.filter((line) => line.startsWith("+") && !line.startsWith("+++")).length).toBeGreaterThan(
      300,
    )
    expect(out).not.toContain("s3cret")
    expect(home.tree()).toEqual(before)
  })

  it("adds to every harness that is here, and uninstall leaves every file byte for byte as it was", async () => {
    const home = furnished()
    const before = home.tree()
    const out = await home.must("install")
    for (const name of HARNESSES) expect(out).toContain(name)
    expect(home.read(".claude/settings.json")).toContain('"hooks": {}')
    expect(parse(home.read(".codex/config.toml"))).toMatchObject({
      mcp_servers: { docs: { command: "docs" }, agentchat: { args: [home.script, "mcp"] } },
    })
    expect(parseYaml(home.read(".config/goose/config.yaml"))).toMatchObject({
      extensions: { dev: { enabled: true }, agentchat: { cmd: "/usr/bin/node", type: "stdio" } },
    })
    await home.must("uninstall")
    expect(home.tree()).toEqual(before)
  })

  it("has nothing to do the second time", async () => {
    const home = furnished()
    await home.must("install")
    const before = home.tree()
    expect(await home.must("install")).toBe("nothing to do\n")
    expect(await home.must("install", "--dry-run")).toBe("nothing to do\n")
    expect(home.tree()).toEqual(before)
  })

  it("replaces its entries when the program has moved, and still puts everything back", async () => {
    const home = furnished()
    const before = home.tree()
    await home.must("install")
    home.script = "/usr/local/lib/agentchat/dist/bin/agentchat.js"
    await home.must("install", "--claims", "block")
    const text = Object.values(home.tree()).join("\n")
    expect(text).not.toContain("/opt/agentchat")
    expect(text).toContain("hook preToolUse --harness cursor --claims block")
    await home.must("install")
    expect(Object.values(home.tree()).join("\n")).not.toContain("--claims block")
    await home.must("uninstall")
    expect(home.tree()).toEqual(before)
  })

  it("does nothing without a harness, and says how to name one", async () => {
    const home = new HarnessHome()
    const { status, err } = await home.run("install")
    expect(status).toBe(3)
    expect(err).toContain("no coding harness is here")
    expect(err).toContain("hint: name one that is to come: agentchat install --harness claude")
    expect(home.tree()).toEqual({})
  })

  it("finds a harness by its program, and installs one that is named in any case", async () => {
    const home = new HarnessHome()
    home.program("kimi")
    expect(await home.must("install")).toContain("created ~/.kimi-code/config.toml")
    await home.must("install", "--harness", "gemini")
    expect(home.json(".gemini/settings.json")).toHaveProperty("mcpServers.agentchat")
    await home.must("uninstall", "--harness", "kimi")
    expect(Object.keys(home.tree()).filter((path) => path.includes("kimi"))).toEqual([])
    await home.must("uninstall")
    expect(home.tree()).toEqual({})
  })

  it("does not take Antigravity's folder for Gemini CLI", async () => {
    const home = new HarnessHome()
    mkdirSync(join(home.home, ".gemini/config"), { recursive: true })
    const out = await home.must("install")
    expect(out).toContain("antigravity")
    expect(out).not.toContain("gemini  ")
  })

  it("leaves a file that it cannot parse, names it with its line, and does the others", async () => {
    const home = furnished()
    const broken = '{\n  "version": 1,\n  "hooks": {\n'
    home.write(".cursor/hooks.json", broken)
    home.write(".codex/config.toml", "model = \n")
    home.write(".config/goose/config.yaml", "a: [1\nb: 2\n")
    const { status, err, out } = await home.run("install")
    expect(status).toBe(1)
    expect(err).toMatch(/~\/\.cursor\/hooks\.json: line \d is not valid JSON/)
    expect(err).toMatch(/~\/\.codex\/config\.toml: line 1 is not valid TOML/)
    expect(err).toMatch(/~\/\.config\/goose\/config\.yaml: line \d is not valid YAML/)
    expect(out).toContain("edited  ~/.gemini/settings.json")
    expect(home.read(".cursor/hooks.json")).toBe(broken)
    expect(home.json(".cursor/mcp.json")).toHaveProperty("mcpServers.agentchat")
  })

  it.each([
    ["a list where an object belongs", '{ "hooks": [] }', "hooks: must be a table of members"],
    ["an object where a list belongs", '{ "hooks": { "stop": {} } }', "hooks.stop: must be a list"],
    ["a document that is a list", "[]", "the document is not an object"],
    ["two members of one name", '{ "hooks": { "a": [] }, "hooks": {} }', 'has two members called "hooks"'],
    ["bytes that are not UTF-8", Buffer.from([0x7b, 0xff, 0x7d]), "is not UTF-8"],
    ["endless nesting", "[".repeat(200_000), "is"],
  ])("leaves a file with %s", async (_, content, message) => {
    const home = new HarnessHome()
    const path = home.write(".cursor/hooks.json", content)
    const { status, err } = await home.run("install", "--harness", "cursor")
    expect(status).toBe(1)
    expect(err).toContain(`~/.cursor/hooks.json: ${message}`)
    expect(readFileSync(path).equals(Buffer.from(content))).toBe(true)
  })

  it("keeps a server of the same name that the user wrote, also when it is uninstalled", async () => {
    const home = new HarnessHome()
    const own = '{\n  "mcpServers": {\n    "agentchat": { "command": "agentchat", "args": ["mcp"] }\n  }\n}\n'
    home.write(".cursor/mcp.json", own)
    await home.must("install", "--harness", "cursor")
    expect(home.read(".cursor/mcp.json")).toBe(own)
    await home.must("uninstall")
    expect(home.read(".cursor/mcp.json")).toBe(own)
  })

  it("keeps a symbolic link, a mode and a directory of dotfiles", async () => {
    const home = new HarnessHome()
    const target = home.write("dotfiles/codex.toml", 'model = "x"\n')
    chmodSync(target, 0o640)
    mkdirSync(join(home.home, ".codex"))
    symlinkSync("../dotfiles/codex.toml", join(home.home, ".codex/config.toml"))
    const before = home.tree()
    await home.must("install")
    expect(statSync(target).mode & 0o777).toBe(0o640)
    expect(home.read("dotfiles/codex.toml")).toContain("[mcp_servers.agentchat]")
    expect(home.tree()[".codex/config.toml"]).toBe("-> ../dotfiles/codex.toml")
    await home.must("uninstall")
    expect(home.tree()).toEqual(before)
  })

  it("writes to no file that is a link to nothing, a pipe of nobody or a directory", async () => {
    const home = new HarnessHome()
    mkdirSync(join(home.home, ".cursor/hooks.json"), { recursive: true })
    symlinkSync("/nowhere/mcp.json", join(home.home, ".cursor/mcp.json"))
    const { status, err } = await home.run("install", "--harness", "cursor")
    expect(status).toBe(1)
    expect(err).toContain("hooks.json: is not a plain file")
    expect(err).toContain("mcp.json: is a symbolic link to nothing")
  })

  it("respects the variables that move a harness's home", async () => {
    const home = new HarnessHome()
    for (const [name, folder] of Object.entries({
      CLAUDE_CONFIG_DIR: "c1",
      CODEX_HOME: "c2",
      COPILOT_HOME: "c3",
      KIMI_CODE_HOME: "c4",
      XDG_CONFIG_HOME: "c5",
    })) {
      home.env[name] = join(home.home, folder)
    }
    for (const name of ["claude", "codex", "copilot", "kimi", "amp"]) home.program(name)
    await home.must("install")
    const folders = Object.keys(home.tree()).filter((path) => /^[^/]+\/$/.test(path))
    expect(folders).toEqual([".local/", "c1/", "c2/", "c3/", "c4/", "c5/"])
  })

  it("does not overwrite a plugin of the same name, and says what to do", async () => {
    const home = new HarnessHome()
    home.write(".config/amp/plugins/agentchat.ts", "export default () => {}\n")
    const { status, err } = await home.run("install", "--harness", "amp")
    expect(status).toBe(1)
    expect(err).toContain("exists with another content")
    expect(err).toContain(`hint: mv ${home.home}/.config/amp/plugins/agentchat.ts`)
    await home.run("uninstall")
    expect(home.read(".config/amp/plugins/agentchat.ts")).toBe("export default () => {}\n")
  })

  it("prints one JSON document with files, steps and problems", async () => {
    const home = new HarnessHome()
    home.write(".cursor/mcp.json", "{")
    const { status, out } = await home.run("install", "--harness", "cursor", "--json")
    const document = JSON.parse(out) as Record<string, unknown>
    expect(status).toBe(1)
    expect(document).toMatchObject({
      ok: false,
      dry_run: false,
      problems: [
        { harness: "cursor", path: join(home.home, ".cursor/mcp.json"), message: "line 1 is not valid JSON" },
      ],
    })
    expect(document["files"]).toContainEqual({
      ...{ harness: "cursor", path: join(home.home, ".cursor/hooks.json"), action: "create" },
    })
  })
})

describe("agentchat install --scope project", () => {
  it("writes to the working directory only, and uninstall empties it again", async () => {
    const home = new HarnessHome()
    for (const name of ["claude", "codex", "copilot", "amp", "goose", "agy"]) home.program(name)
    await home.must("install", "--scope", "project")
    const files = Object.keys(home.tree(home.project))
    expect(files).toContain(".agents/skills/agentchat/SKILL.md")
    expect(files).toContain(".claude/skills/agentchat/hooks/hooks.json")
    expect(Object.keys(home.tree()).filter((path) => !path.startsWith(".local/"))).toEqual([])
    await home.must("uninstall", "--scope", "project", "--harness", "codex")
    expect(home.tree(home.project)).toHaveProperty([".agents/skills/agentchat/SKILL.md"])
    await home.must("uninstall", "--scope", "project")
    expect(home.tree(home.project)).toEqual({})
    expect(home.tree()).toEqual({})
  })

  it("follows no link out of the project", async () => {
    const home = new HarnessHome()
    const outside = home.write("outside.json", "{}\n")
    mkdirSync(join(home.project, ".cursor"))
    symlinkSync(outside, join(home.project, ".cursor/hooks.json"))
    symlinkSync(home.home, join(home.project, ".claude"))
    const cursor = await home.run("install", "--scope", "project", "--harness", "cursor")
    expect(cursor.status).toBe(1)
    expect(cursor.err).toContain("leads out of the project by a symbolic link")
    const claude = await home.run("install", "--scope", "project", "--harness", "claude")
    expect(claude.status).toBe(1)
    expect(home.read("outside.json")).toBe("{}\n")
    expect(Object.keys(home.tree()).filter((path) => path.startsWith("skills"))).toEqual([])
  })

  it("refuses a harness without files of a project, and says why", async () => {
    const home = new HarnessHome()
    const { status, err } = await home.run("install", "--scope", "project", "--harness", "copilot")
    expect(status).toBe(1)
    expect(err).toContain("copilot: has no files of a project: it runs only the hooks of its home directory")
  })
})

describe("agentchat uninstall", () => {
  it("removes only its own entries from files that were changed since", async () => {
    const home = furnished()
    await home.must("install")
    const changed = (path: string, from: string, to: string) => {
      expect(home.read(path)).toContain(from)
      home.write(path, home.read(path).replace(from, to))
    }
    changed(".codex/config.toml", 'trust_level = "trusted"', 'trust_level = "untrusted"')
    writeFileSync(join(home.home, ".codex/config.toml"), '\n[projects."/y"]\ntrust_level = "trusted"\n', {
      flag: "a",
    })
    changed(".cursor/hooks.json", '"command": "but hook"', '"command": "but hook --more"')
    changed(".gemini/settings.json", '"theme": "dark"', '"theme": "light"')
    changed(".config/goose/config.yaml", "other: 1", "other: 2")
    await home.must("uninstall")
    expect(home.read(".codex/config.toml")).toBe(
      '# mine\nmodel = "gpt-6"   # best\n\n[projects."/x"]\ntrust_level = "untrusted"\n\n[mcp_servers.docs]\ncommand = "docs"\n\n[projects."/y"]\ntrust_level = "trusted"\n',
    )
    expect(home.read(".cursor/hooks.json")).toBe(
      '{\n  "version": 1,\n  "hooks": {\n    "stop": [\n      { "command": "but hook --more" }\n    ]\n  }\n}\n',
    )
    expect(home.read(".gemini/settings.json")).toContain(
      '{\r\n\t// colors\r\n\t"theme": "light",\r\n\t"hooks"',
    )
    expect(home.read(".config/goose/config.yaml")).toContain("# the end\nother: 2\n")
    expect(Object.values(home.tree()).join("\n")).not.toContain("agentchat")
  })

  it("keeps the hooks that others added to a file it created, and the frame that they need", async () => {
    const home = new HarnessHome()
    await home.must("install", "--harness", "cursor")
    const hooks = home.json(".cursor/hooks.json") as { version: number; hooks: Record<string, unknown[]> }
    hooks.hooks["stop"]?.push({ command: "but hook" })
    home.write(".cursor/hooks.json", JSON.stringify(hooks))
    await home.must("uninstall")
    expect(home.json(".cursor/hooks.json")).toEqual({
      version: 1,
      hooks: { stop: [{ command: "but hook" }] },
    })
    expect(Object.keys(home.tree())).toEqual([".cursor/", ".cursor/hooks.json"])
  })

  it("keeps the handler that somebody added to a group of ours", async () => {
    const home = new HarnessHome()
    await home.must("install", "--harness", "codex")
    const document = home.json(".codex/hooks.json") as { hooks: Record<string, { hooks: unknown[] }[]> }
    document.hooks["Stop"]?.[0]?.hooks.push({ type: "command", command: "say done" })
    home.write(".codex/hooks.json", JSON.stringify(document, null, 4))
    await home.must("uninstall")
    expect(home.json(".codex/hooks.json")).toEqual({
      hooks: { Stop: [{ hooks: [{ type: "command", command: "say done" }] }] },
    })
  })

  it("finds its entries without the record, and in files that another program wrote anew", async () => {
    const home = furnished()
    const values = (path: string) => JSON.stringify(home.json(path))
    const before = values(".cursor/mcp.json")
    await home.must("install")
    rmSync(join(home.home, ".local"), { recursive: true })
    home.write(".cursor/mcp.json", values(".cursor/mcp.json"))
    home.write(".cursor/hooks.json", values(".cursor/hooks.json"))
    await home.must("uninstall")
    expect(values(".cursor/mcp.json")).toBe(before)
    expect(Object.values(home.tree()).join("\n")).not.toContain("agentchat")
  })

  it("keeps tables that Codex wrote after ours", async () => {
    const home = new HarnessHome()
    home.write(".codex/config.toml", 'model = "x"')
    await home.must("install", "--harness", "codex")
    const own = home.read(".codex/config.toml")
    home.write(".codex/config.toml", `${own}[hooks.state."a:stop:0:0"]\ntrusted_hash = "1"\n`)
    await home.must("uninstall")
    expect(parse(home.read(".codex/config.toml"))).toEqual({
      ...{ model: "x", hooks: { state: { "a:stop:0:0": { trusted_hash: "1" } } } },
    })
  })

  it("leaves a file of ours that was edited, and says how to remove it", async () => {
    const home = new HarnessHome()
    await home.must("install", "--harness", "claude")
    const skill = ".claude/skills/agentchat/skills/agentchat/SKILL.md"
    home.write(skill, "my own words\n")
    const { status, err } = await home.run("uninstall")
    expect(status).toBe(1)
    expect(err).toContain(`~/${skill}: was changed since agentchat install wrote it, and is left as it is`)
    expect(err).toContain(`hint: rm ${home.home}/${skill}`)
    rmSync(join(home.home, skill))
    await home.must("uninstall")
    expect(home.tree()).toEqual({})
  })

  it("removes what a killed install left of a file", async () => {
    const home = new HarnessHome()
    await home.must("install", "--harness", "cursor")
    home.write(".cursor/mcp.json.0123456789ab.tmp", "{")
    home.write(".cursor/mcp.json.backup.tmp", "{")
    await home.must("uninstall")
    expect(Object.keys(home.tree())).toEqual([".cursor/", ".cursor/mcp.json.backup.tmp"])
  })

  it("keeps directories in which others have files", async () => {
    const home = new HarnessHome()
    await home.must("install", "--harness", "goose")
    home.write(".agents/plugins/other/plugin.json", "{}")
    await home.must("uninstall")
    expect(Object.keys(home.tree())).toEqual([
      ...[".agents/", ".agents/plugins/", ".agents/plugins/other/", ".agents/plugins/other/plugin.json"],
    ])
  })

  it("leaves the other name of a file alone", async () => {
    const home = new HarnessHome()
    const path = home.write(".cursor/mcp.json", "{}\n")
    linkSync(path, join(home.home, "copy.json"))
    await home.must("install", "--harness", "cursor")
    expect(home.read("copy.json")).toBe("{}\n")
  })
})
