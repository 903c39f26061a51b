import { test } from 'node:test'
import { assertGolden } from '../../support/golden.js'
import { RECORDED_HOSTS, recordedHost } from '../../support/recorded-host.js'

for (const name of RECORDED_HOSTS) {
  test(`the facts of ${name} are those of its golden file`, () => {
    const host = recordedHost(name)
    const interfaces = Object.keys(host.devices).map((interfaceName) => host.interfaceFacts(interfaceName))
    assertGolden(`fixtures/host/${name}.facts.txt`, [...factLines(host.hostFacts()), ...interfaces.flatMap((facts) => ['', ...factLines(facts)])])
  })
}

/** One line each, those of a list or a table below each other. */
function factLines(facts: object): string[] {
  return Object.entries(facts).flatMap(([name, value]) => {
    const isTable = typeof value === 'object' && value !== null && Object.values(value).some((it) => typeof it === 'object')
    if (!isTable) return [`${name}: ${JSON.stringify(value)}`]
    return [`${name}:`, ...Object.entries(value).map(([key, it]) => `  ${key}: ${JSON.stringify(it)}`)]
  })
}
