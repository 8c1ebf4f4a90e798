import { defineCommand, required } from "../command.js"
import type { CommandOutline } from "../completion/outline.js"
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
  notes: ['For this shell only: eval "$(agentchat completion bash)"'],
  async run({ io, config, outline }, { args: { shell } }) {
    const script = await scriptFor(shell, await outline())
    if (config.json) io.json({ ok: true, shell, script })
    else io.out(script)
    return 0
  },
})

async function scriptFor(
  shell: (typeof shells)[number],
  commands: readonly CommandOutline[],
): Promise<string> {
  switch (shell) {
    case "bash":
      return (await import("../completion/bash.js")).bashScript(commands)
    case "zsh":
      return (await import("../completion/zsh.js")).zshScript(commands)
    case "fish":
      return (await import("../completion/fish.js")).fishScript(commands)
  }
}
