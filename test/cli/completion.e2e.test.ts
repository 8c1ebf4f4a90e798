import { spawnSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, describe, expect, it } from "vitest"
import { commandTable, outlineCommands } from "../../src/cli/command-table.js"
import type { CommandOutline } from "../../src/cli/completion/outline.js"
import { bashScript, fishScript, zshScript } from "../../src/cli/completion/scripts.js"
import { hasProgram } from "../kit/requires.js"
import { temporaryDirectory } from "../kit/temporary.js"
import { Terminal } from "./terminal.js"

let commands: CommandOutline[]
beforeAll(async () => {
  commands = await outlineCommands()
})

/** Creates a directory with two daemons, a file, and the completion script. */
function prepare(script: string): string {
  const dir = temporaryDirectory()
  for (const name of ["alice", "bob"]) mkdirSync(join(dir, ".agentchat/daemons", name), { recursive: true })
  writeFileSync(join(dir, "key.json"), "")
  writeFileSync(join(dir, "completion"), `${script}\n`)
  return dir
}

function run(program: string, script: string, cwd: string): string[] {
  const { stdout, stderr, status } = spawnSync(program, ["-c", script], { cwd, encoding: "utf8" })
  if (status !== 0 || stderr !== "") throw new Error(`${program}: exit ${String(status)} ${stderr}`)
  return stdout.split("\n").filter((line) => line !== "")
}

describe.runIf(hasProgram("bash"))("completion in bash", () => {
  const complete = (...words: string[]) => {
    const quoted = words.map((word) => `'${word}'`).join(" ")
    const script = `source ./completion; COMP_WORDS=(agentchat ${quoted}); COMP_CWORD=${words.length}; _agentchat; printf '%s\\n' "\${COMPREPLY[@]}"`
    return run("bash", script, prepare(bashScript(commands)))
  }

  it("suggests every command, and the options of a given command", () => {
    expect(complete("")).toEqual(expect.arrayContaining([...commandTable.keys()]))
    expect(complete("se")).toEqual(["serve", "service", "send"])
    expect(complete("inbox", "--l")).toEqual(["--last"])
    expect(complete("--home", "x", "inbox", "--l")).toEqual(["--last"])
    expect(complete("help", "ident")).toEqual(["identity"])
  })

  it("suggests daemons, files and choices for option values", () => {
    expect(complete("status", "--name", "")).toEqual(["alice", "bob"])
    expect(complete("send", "--identity", "k")).toEqual(["key.json"])
    expect(complete("listen", "--format", "")).toEqual(["json", "text"])
    expect(complete("completion", "f")).toEqual(["fish"])
    expect(complete("inbox", "--last", "")).toEqual([])
  })

  it("bash completion is registered for agentchat", () => {
    expect(
      run("bash", "source ./completion; complete -p agentchat", prepare(bashScript(commands))).join(),
    ).toContain("-F _agentchat agentchat")
  })
})

describe.runIf(hasProgram("fish"))("completion in fish", () => {
  const complete = (line: string) =>
    run("fish", `source ./completion; complete -C '${line}'`, prepare(fishScript(commands))).map(
      (row) => row.split("\t")[0],
    )

  it("suggests every command, and the options of a given command", () => {
    expect(complete("agentchat ")).toEqual(expect.arrayContaining([...commandTable.keys()]))
    expect(complete("agentchat se")).toEqual(expect.arrayContaining(["send", "serve"]))
    expect(complete("agentchat inbox --la")).toEqual(["--last"])
  })

  it("suggests daemons, files and choices for option values", () => {
    expect(complete("agentchat status --name ")).toEqual(["alice", "bob"])
    expect(complete("agentchat send --identity k")).toEqual(["key.json"])
    expect(complete("agentchat listen --format ")).toEqual(["json", "text"])
    expect(complete("agentchat completion ")).toEqual(expect.arrayContaining(["bash", "zsh", "fish"]))
  })
})

describe.runIf(hasProgram("zsh") && hasProgram("tmux"))("completion in zsh", { timeout: 60_000 }, () => {
  const shell = async () => {
    const dir = prepare(zshScript(commands))
    const setUp = "PS1='> '; autoload -U compinit; compinit -u -D; setopt no_beep; source ./completion; clear"
    writeFileSync(join(dir, ".zshrc"), `${setUp}\n`)
    const terminal = new Terminal(`cd '${dir}' && exec zsh -i`, { ZDOTDIR: dir, HOME: dir })
    await terminal.shows(/^>$/)
    return terminal
  }

  it("completes commands, flags and values", async () => {
    const terminal = await shell()
    terminal.type("agentchat ident\t")
    await terminal.shows(/^> agentchat identity$/)
    terminal.type("--gen\t")
    await terminal.shows(/^> agentchat identity --generate$/)
    terminal.press("C-u")
    terminal.type("agentchat status --name al\t")
    await terminal.shows(/^> agentchat status --name alice$/)
    terminal.press("C-u")
    terminal.type("agentchat send --identity k\t")
    await terminal.shows(/--identity key\.json$/)
    terminal.press("C-u")
    terminal.type("agentchat listen --format t\t")
    await terminal.shows(/--format text$/)
  })

  it("describes each command", async () => {
    const terminal = await shell()
    terminal.type("agentchat \t")
    await terminal.shows(/^serve +-- run a relay/)
  })
})
