import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import ts from "typescript"
import { afterAll } from "vitest"

const project = resolve(import.meta.dirname, "../..")
const relativeImport = /(?:from|import)\s*\(?"(\.[^"]+)\.js"/g

/**
 * Translates a TypeScript program and what it imports to JavaScript, so that a test can start it with
 * plain Node and kill it. Types are not checked. Call it in the body of a test file or of a describe.
 * @param entry - path below the project, such as `test/kit/inbox-child.ts`
 * @returns path of the JavaScript file, removed after the tests
 */
export function compiled(entry: string): string {
  // Inside the project, so that packages resolve; with its own package.json, because node_modules stops the outer one.
  const cache = join(project, "node_modules/.cache")
  mkdirSync(cache, { recursive: true })
  const out = mkdtempSync(join(cache, "agentchat-test-"))
  afterAll(() => {
    rmSync(out, { recursive: true, force: true })
  })
  writeFileSync(join(out, "package.json"), '{"type":"module"}')
  const target = (source: string) => join(out, relative(project, source).replace(/\.ts$/, ".js"))
  const sources = [join(project, entry)]
  // The list grows during the loop.
  for (const source of sources) {
    const text = readFileSync(source, "utf8")
    for (const [, path] of text.matchAll(relativeImport)) {
      const imported = resolve(dirname(source), `${path}.ts`)
      if (!sources.includes(imported)) sources.push(imported)
    }
    mkdirSync(dirname(target(source)), { recursive: true })
    writeFileSync(target(source), translate(text))
  }
  return target(join(project, entry))
}

function translate(text: string): string {
  const { ES2023 } = ts.ScriptTarget
  const compilerOptions = { target: ES2023, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true }
  return ts.transpileModule(text, { compilerOptions }).outputText
}
