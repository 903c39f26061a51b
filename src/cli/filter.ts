/** `ringtap filter`. */
import { compileFilter, resolveFilterNames } from '../index.js'
import { EXIT } from './exit-status.js'
import { filterText } from './filter-text.js'
import type { Io } from './io.js'
import type { ValuesOf } from './table.js'
import { UsageError } from './usage-error.js'

export async function runFilter(values: ValuesOf<'filter'>, words: readonly string[], io: Io): Promise<number> {
  const text = filterText(values.filterFile, words)
  if (text === undefined) throw new UsageError('which filter? an expression or -F FILE is missing', "ringtap filter 'tcp port 80'; '' takes everything")
  const filter = compileFilter(text, {
    names: await resolveFilterNames(text),
    linkType: values.linkType,
    // As with tcpdump, 0 is the default.
    snapLengthBytes: values.snapLength === 0 ? undefined : values.snapLength,
    // There is no interface whose network it could be; tcpdump -d takes 0, too.
    netmask: 0,
  })
  if (values.json) {
    const { linkType, instructions } = filter
    const ebpf = values.ebpf ? { ebpf: linesOf(filter.toEbpf()) } : {}
    io.out(JSON.stringify({ type: 'filter', text, linkType, instructions, explanation: filter.explain(), ...ebpf }))
    return EXIT.done
  }
  if (values.dump > 0 || !(values.ebpf || values.explain)) {
    const style = values.dump >= 3 ? 'ddd' : values.dump === 2 ? 'dd' : 'd'
    for (const line of linesOf(filter.toString(style))) io.out(line)
  }
  if (values.ebpf) for (const line of linesOf(filter.toEbpf())) io.out(line)
  if (values.explain) for (const line of filter.explain()) io.out(line)
  return EXIT.done
}

function linesOf(text: string): string[] {
  return text.trimEnd().split('\n')
}
