def of_run(record):
  return {'reason': 'Stand-in until the engine is merged.'}
