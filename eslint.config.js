import { defineConfig, globalIgnores } from "eslint/config"
import tseslint from "typescript-eslint"

// The outside world reaches src/ as parameters. Only these three files may use it directly.
const processEdges = ["src/base/clock.ts", "src/cli/main.ts", "src/daemon/process/host-main.ts"]

// Folders that compute and never act; dependency-cruiser keeps modules of Node.js out of them.
const pureFolders = ["src/protocol/**", "src/guards/**"]

const passIn = "pass it in: process and console belong to the process edges"
const passClock = "pass a Clock in"
const edgeGlobals = [{ name: "process", message: passIn }]
const effectGlobals = [
  "crypto",
  "fetch",
  "performance",
  "queueMicrotask",
  "setImmediate",
  "setInterval",
  "setTimeout",
]

export default defineConfig(
  globalIgnores(["dist*/", "coverage/"]),
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      // Two slow rules about what the compiler refuses already: there are no enums (erasableSyntaxOnly), and classes
      // have private members, so that no object literal passes for an instance.
      "@typescript-eslint/no-unsafe-enum-assignment": "off",
      "@typescript-eslint/no-unsafe-class-instance-assignment": "off",
      // An explicit default covers the remaining cases.
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      // `const { secret, ...rest } = all` is how a property is left out.
      "@typescript-eslint/no-unused-vars": ["error", { ignoreRestSiblings: true }],
      // A number formats the same way in any template.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // `() => socket.close()` is how callbacks are written here; blocks would only add lines.
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      // `for (;;)` and `while (true)` are intended loops.
      "@typescript-eslint/no-unnecessary-condition": [
        "error",
        { allowConstantLoopConditions: "only-allowed-literals" },
      ],
      // `() => {}` is an intended empty callback.
      "@typescript-eslint/no-empty-function": ["error", { allow: ["arrowFunctions"] }],
      complexity: ["error", 12],
      eqeqeq: "error",
      "max-lines": ["error", 600],
      "max-lines-per-function": ["error", 70],
      "no-empty": "error",
      "no-fallthrough": "error",
      "no-unsafe-finally": "error",
      "no-unsafe-optional-chaining": "error",
      "no-useless-catch": "error",
      "object-shorthand": "error",
    },
  },
  {
    files: ["src/**"],
    ignores: processEdges,
    rules: {
      "no-console": "error",
      "no-restricted-globals": ["error", { globals: edgeGlobals, checkGlobalObject: true }],
      "no-restricted-imports": [
        "error",
        {
          paths: ["node:process", "process", "node:console", "console"].map((name) => ({
            name,
            message: passIn,
          })),
        },
      ],
      "no-restricted-properties": [
        "error",
        { object: "Date", property: "now", message: passClock },
        { object: "Math", property: "random", message: "pass a source of chance in" },
      ],
      "no-restricted-syntax": [
        "error",
        { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: passClock },
      ],
    },
  },
  {
    files: pureFolders,
    rules: {
      "no-restricted-globals": [
        "error",
        {
          globals: [
            ...edgeGlobals,
            ...effectGlobals.map((name) => ({
              name,
              message: "this folder has no effects of its own; pass it in",
            })),
          ],
          checkGlobalObject: true,
        },
      ],
    },
  },
  {
    files: ["test/**", "bench/**"],
    rules: {
      // A describe() block is one long function.
      "max-lines-per-function": "off",
      // expect.any() and similar are typed any; a wrong value fails the test anyway.
      "@typescript-eslint/no-unsafe-assignment": "off",
    },
  },
)
