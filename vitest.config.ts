import { defineConfig } from "vitest/config"

// Settings of the person who runs the tests must not reach the programs under test.
for (const name of Object.keys(process.env)) {
  if (name.startsWith("AGENTCHAT_")) Reflect.deleteProperty(process.env, name)
}

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Real processes and signals are under test; threads would share both.
    pool: "forks",
    testTimeout: 20_000,
    hookTimeout: 20_000,
    restoreMocks: true,
    unstubEnvs: true,
  },
})
