"""Stand-ins for OpenAI, Anthropic and Gemini that speak their wire formats exactly and answer deterministically.

    app        builds and starts them              exchange   one request from the socket to the journal
    openai …   one vendor: routes and refusals     model      the "brain": what is answered
    faults     what goes wrong on purpose          control    /_sim/…

Rule 1: nothing here imports the gateway's own dialects or providers; a translator checked against itself proves nothing.
Rule 2: a vendor module is pure: what was sent in, the answer or a refusal out. Only `exchange`, `control` and `app` touch sockets.
Rule 3: the same request gets the same answer, streamed or not, with the same usage.
"""
