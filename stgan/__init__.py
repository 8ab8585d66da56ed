"""Edit the attributes of a face in a photograph: STGAN, AttGAN and StarGAN, trained, published and used."""
