import { mkdirSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { readIfExists, writeFileAtomic } from "../../base/files.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import { defineCommand, optional, required } from "../command.js"
import type { Environment } from "../config.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import { choice } from "../input/values.js"

const shells = ["bash", "zsh", "fish"] as const

export const completion = defineCommand({
  args: {
    shell: required(`${shells.join(", ")}; or install`, choice([...shells, "install"]), [
      ...shells,
      "install",
    ]),
    for: optional("install: the shell (default $SHELL)", choice(shells), shells),
  },
  options: {},
  takesUrl: false,
  examples: [
    "agentchat completion install",
    "agentchat completion bash > ~/.local/share/bash-completion/completions/agentchat",
    "agentchat completion zsh > ~/.zfunc/_agentchat",
    "agentchat completion fish > ~/.config/fish/completions/agentchat.fish",
  ],
  notes: ['To try it in the current shell: eval "$(agentchat completion bash)"'],
  async run(context, { args }) {
    if (args.shell === "install") return install(context, args.for ?? ownShell(context.env))
    if (args.for !== undefined) throw new ChatError("USAGE", "completion: one argument too many")
    const script = await scriptFor(context, args.shell)
    return reportSuccess(context, { shell: args.shell, script }, script)
  },
})

type Shell = (typeof shells)[number]

async function scriptFor(context: Context, shell: Shell): Promise<string> {
  const { bashScript, fishScript, zshScript } = await import("../completion/scripts.js")
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](await context.outline())
}

function ownShell({ SHELL = "" }: Environment): Shell {
  const name = basename(SHELL)
  const found = shells.find((shell) => shell === name)
  if (found !== undefined) return found
  throw new ChatError(
    "USAGE",
    `completion install: there is no script for the shell ${JSON.stringify(name)}`,
    {
      hint: `name one of ${shells.join(", ")}: agentchat completion install bash`,
    },
  )
}

/** Writes the script where the shell looks for it. @throws {ChatError} FILE_FAILED if another program wrote that file */
async function install(context: Context, shell: Shell): Promise<number> {
  const { HOME = "", XDG_DATA_HOME, XDG_CONFIG_HOME } = context.env
  if (HOME === "") throw new ChatError("USAGE", "completion install: HOME is not set")
  const file = {
    bash: join(XDG_DATA_HOME ?? join(HOME, ".local/share"), "bash-completion/completions/agentchat"),
    zsh: join(HOME, ".zfunc/_agentchat"),
    fish: join(XDG_CONFIG_HOME ?? join(HOME, ".config"), "fish/completions/agentchat.fish"),
  }[shell]
  const script = await scriptFor(context, shell)
  try {
    const found = readIfExists(file)
    if (found !== undefined && !found.includes("agentchat completion for")) {
      throw new ChatError("FILE_FAILED", `${file}: was not written by agentchat`, {
        hint: "move it away first",
      })
    }
    mkdirSync(dirname(file), { recursive: true })
    writeFileAtomic(file, `${script}\n`)
  } catch (error) {
    if (error instanceof ChatError) throw error
    throw new ChatError("FILE_FAILED", `${file}: ${(error as Error).message}`, { cause: error })
  }
  const more =
    shell === "zsh" ? "; ~/.zshrc needs: fpath=(~/.zfunc $fpath); autoload -Uz compinit; compinit" : ""
  return reportSuccess(context, { shell, file }, `written to ${formatForTerminal(file)}${more}`)
}
