import { defineCommand, required } from "../command.js"
import { reportSuccess } from "../exit-status.js"
import { choice } from "../input/values.js"

const shells = ["bash", "zsh", "fish"] as const

export const completion = defineCommand({
  args: { shell: required(shells.join(", "), choice(shells), shells) },
  options: {},
  takesUrl: false,
  examples: [
    "agentchat completion bash > ~/.local/share/bash-completion/completions/agentchat",
    "agentchat completion zsh > ~/.zfunc/_agentchat",
    "agentchat completion fish > ~/.config/fish/completions/agentchat.fish",
  ],
  notes: ['To try it in the current shell: eval "$(agentchat completion bash)"'],
  async run(context, { args: { shell } }) {
    const { bashScript, fishScript, zshScript } = await import("../completion/scripts.js")
    const commands = await context.outline()
    const script = { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](commands)
    return reportSuccess(context, { shell, script }, script)
  },
})
