/** What `ringtap doctor` prints. Pure. */
import type { Diagnosis, Finding } from '../host/index.js'
import { EXIT } from './exit-status.js'
import { plural } from './human.js'

export function doctorStatus({ verdict }: Diagnosis): number {
  return { 'line-rate': EXIT.done, limited: EXIT.failed, impossible: EXIT.refused }[verdict]
}

/** The verdict first, then what is to be done, gravest first. */
export function doctorLines(diagnosis: Diagnosis, verbose: boolean): string[] {
  const { findings, unread } = diagnosis
  const fine = findings.filter((it) => it.severity === 'ok')
  const lines = [verdictLine(diagnosis)]
  for (const finding of findings) if (finding.severity !== 'ok') lines.push('', ...findingLines(finding))
  if (verbose && fine.length > 0) lines.push('', ...fine.map((it) => `ok      ${place(it)}: ${it.what}`))
  if (!verbose && fine.length > 0)
    lines.push('', `ok      ${plural(fine.length, 'other thing')} that ${fine.length === 1 ? 'was' : 'were'} looked at (-v shows them)`)
  if (unread.length > 0) lines.push('', 'could not be read:', ...unread.map(({ what, source, reason }) => `        ${what} (${source}): ${reason}`))
  return lines
}

export function doctorDocument(diagnosis: Diagnosis): string {
  const findings = diagnosis.findings.map(({ id, severity, interface: name = null, what, cost = null, remedy = null, note = null }) => ({
    id,
    severity,
    interface: name,
    what,
    cost,
    remedy,
    note,
  }))
  return JSON.stringify({ type: 'doctor', ...diagnosis, findings })
}

function verdictLine({ verdict, findings, interfaces }: Diagnosis): string {
  const count = (severity: Finding['severity']) => findings.filter((it) => it.severity === severity).length
  const where = interfaces.length === 0 ? 'this host' : `${interfaces.join(', ')}`
  switch (verdict) {
    case 'impossible':
      return `${where}: no capture is possible: ${plural(count('fatal'), 'thing')} in the way${count('limits') === 0 ? '' : `, ${count('limits')} more would limit it`}`
    case 'limited':
      return `${where}: capture is possible; at line rate ${plural(count('limits'), 'thing')} would limit it`
    case 'line-rate':
      return `${where}: nothing that was looked at is in the way of a capture at line rate`
  }
}

function findingLines(finding: Finding): string[] {
  const { severity, what, cost, remedy, note } = finding
  const lines = [`${severity.padEnd(6)}  ${place(finding)}: ${what}`]
  if (cost !== undefined) lines.push(`        costs: ${cost}`)
  if (remedy !== undefined) lines.push(`        mend:  ${remedy}`)
  if (note !== undefined) lines.push(`        ${remedy === undefined ? 'mend' : 'note'}:  ${note}`)
  return lines
}

function place({ id, interface: name }: Finding): string {
  return name === undefined ? id : `${name} ${id}`
}
