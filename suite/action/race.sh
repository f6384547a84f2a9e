#!/usr/bin/env bash
# Check, race, table to the job's summary, page, gate: what the action does, on any machine.
# Reads SUBMISSION, SUITE, OUTPUT, BESIDE (names of submissions that race beside it) and, for the
# gate, BASELINE and SLACK.
set -euo pipefail
summary=${GITHUB_STEP_SUMMARY:-/dev/stdout}

gradathlon check "$SUBMISSION"
entrants=(-s "$SUBMISSION")
for name in ${BESIDE:-}; do entrants+=(-s "$name"); done
gradathlon run "$SUITE" "${entrants[@]}" -o "$OUTPUT" >/dev/null
gradathlon score "$OUTPUT" --clock steps --format json > "$OUTPUT/scores.json"
gradathlon score "$OUTPUT" --clock steps --format markdown >> "$summary"
gradathlon report "$OUTPUT" -o "$OUTPUT/report.html" >/dev/null
if [ -n "${BASELINE:-}" ] && [ ! -f "$BASELINE" ]; then
  printf '\n%s not found: nothing was compared.\n' "$BASELINE" >> "$summary"
elif [ -n "${BASELINE:-}" ]; then
  code=0
  worse=$(gradathlon gate "$OUTPUT" --baseline "$BASELINE" ${SLACK:+--slack "$SLACK"}) || code=$?
  printf '\n%s\n' "$worse" >> "$summary"
  exit "$code"
fi
